// Verifies tokens with npm's jose, whose remote JWKS is cached for its max-age. Commands as in pyjwt_verifier.py:
// {"advance": SECONDS} and {"verify": TOKEN}, one a line.
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { createInterface } from 'node:readline'
import { readFileSync } from 'node:fs'

let offset = 0
const realNow = Date.now
Date.now = () => realNow() + offset

const keys = createRemoteJWKSet(new URL(process.argv[2]), { cacheMaxAge: 600_000 })

async function run(command) {
  if ('advance' in command) {
    offset += command.advance * 1000
    return {}
  }
  try {
    const { protectedHeader } = await jwtVerify(command.verify, keys, { algorithms: ['RS256'] })
    return { kid: protectedHeader.kid }
  } catch (error) {
    return { error: error.message }
  }
}

const { version } = JSON.parse(readFileSync(new URL('./node_modules/jose/package.json', import.meta.url)))
console.log(JSON.stringify({ name: 'jose', version }))
for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await run(JSON.parse(line))))
}
