"""Reads an app's data with boto3 from the places that the documents name.

Standard input is one JSON object: the stack's READY line with "app" (id), "apiKey" (value) and "signingKey" (id).
Standard output is one JSON object with the data.
"""

import hashlib
import json
import sys

import boto3
from boto3.dynamodb.conditions import Key
from botocore.config import Config

query = json.load(sys.stdin)
session = boto3.Session("local", "local", region_name="us-east-1")
direct = Config(proxies={})
table = session.resource("dynamodb", endpoint_url=query["dynamodb"], config=direct).Table(query["table"])
secrets = session.client("secretsmanager", endpoint_url=query["secretsManager"], config=direct)

partition = f"APP#{query['app']}"
folder = f"{query['secretPrefix']}/apps/{query['app']}"


def item(sort_key):
    return table.get_item(Key={"pk": partition, "sk": sort_key}, ConsistentRead=True)["Item"]


app = item("APP")
writes = Key("pk").eq(partition) & Key("sk").begins_with("IDEMPOTENCY#")
secret = secrets.get_secret_value(SecretId=f"{folder}/secret", VersionId=app["secretVersionId"])
private_key = secrets.get_secret_value(SecretId=f"{folder}/signing-keys/{query['signingKey']}")
found = {
    "name": "boto3",
    "version": boto3.__version__,
    "app": app,
    "apiKey": item(f"APIKEY#{hashlib.sha256(query['apiKey'].encode()).hexdigest()}"),
    "writes": table.query(KeyConditionExpression=writes, ConsistentRead=True)["Items"],
    "secret": secret["SecretString"],
    "privateKey": private_key["SecretString"],
}
# boto3 reads numbers as Decimal.
print(json.dumps(found, default=int))
