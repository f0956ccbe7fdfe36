// A peer for comparison: the success path of get-app-keys in Node.js, with Fastify and the AWS SDK.
import { createHash } from "node:crypto";
import { request, Agent } from "node:http";
import awsLambdaFastify from "@fastify/aws-lambda";
import { BatchGetItemCommand, DynamoDBClient } from "@aws-sdk/client-dynamodb";
import Fastify from "fastify";

const table = process.env.TABLE_NAME;
const dynamodb = new DynamoDBClient({});
const app = Fastify();

app.get("/api/v1/apps/:appUuid/keys", async (request, reply) => {
  const pk = `APP#${request.params.appUuid}`;
  const hash = createHash("sha256").update(request.headers["x-api-key"]).digest("hex");
  const keys = ["APP", `APIKEY#${hash}`].map((sk) => ({ pk: { S: pk }, sk: { S: sk } }));
  const response = await dynamodb.send(
    new BatchGetItemCommand({ RequestItems: { [table]: { Keys: keys, ConsistentRead: true } } }),
  );
  const items = response.Responses[table];
  const found = items.find((item) => item.sk.S === "APP");
  if (items.length !== 2 || found.isDisabled.BOOL) return reply.code(401).send({ errors: [] });
  const type = { uuid: "appkeytype_11111111-1111-4111-8111-111111111111", name: "public" };
  const listed = found.signingKeys.L.map(({ M: key }) => key)
    .filter((key) => key.state.S === "in_use" || key.state.S === "previous")
    .map((key) => ({ uuid: key.uuid.S, createdAt: key.createdAt.S, updatedAt: key.updatedAt.S, type, value: key.publicKey.S }));
  return { kind: "appKeys", totalItems: listed.length, itemsLength: listed.length, items: listed };
});

// On Lambda, the Node.js runtime runs this loop. Here it is a part of the program.
const handle = awsLambdaFastify(app);
const [hostname, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
const agent = new Agent({ keepAlive: true, maxSockets: 1 });

function call(method, path, body) {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { "content-length": Buffer.byteLength(body) };
    const call = request({ hostname, port, method, agent, headers, path: `/2018-06-01/runtime/invocation/${path}` });
    call.on("error", reject).on("response", (response) => {
      const pieces = [];
      response.on("data", (piece) => pieces.push(piece));
      response.on("end", () => resolve({ headers: response.headers, body: Buffer.concat(pieces).toString() }));
    });
    call.end(body);
  });
}

async function run() {
  await app.ready();
  for (;;) {
    const next = await call("GET", "next");
    const id = next.headers["lambda-runtime-aws-request-id"];
    await call("POST", `${id}/response`, JSON.stringify(await handle(JSON.parse(next.body), {})));
  }
}
run();
