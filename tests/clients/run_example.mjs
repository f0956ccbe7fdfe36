// Runs an example of the API's documentation and replaces only its placeholders. The argument is the file's name, and
// standard input is {"placeholder": "value"}. Prints what the example logs as one JSON object.
import { readFileSync } from 'node:fs'

let example = readFileSync(new URL(process.argv[2], import.meta.url), 'utf8')
for (const [placeholder, value] of Object.entries(JSON.parse(readFileSync(0, 'utf8')))) {
  if (!example.includes(placeholder)) throw new Error(`${placeholder} is not in the example`)
  example = example.replaceAll(placeholder, () => value)
}

const logged = []
const errors = []
const console = { log: (...values) => logged.push(values), error: (error) => errors.push(String(error)) }
const AsyncFunction = (async () => {}).constructor
await new AsyncFunction('console', example)(console)

const version = `${process.versions.node} (undici ${process.versions.undici})`
process.stdout.write(JSON.stringify({ name: "Node.js's fetch", version, logged, errors }) + '\n')
