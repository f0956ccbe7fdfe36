// Verifies tokens with npm's jose, which caches the remote JWKS for its max-age. Has the commands {"advance": SECONDS}
// and {"verify": TOKEN} of pyjwt_verifier.py.
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
