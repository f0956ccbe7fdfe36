"""Verifies tokens with PyJWT: with the JWKS, which PyJWKClient caches, or with the keys route's items[0].

Standard input has one JSON command in each line, and standard output one JSON result:
  {"sign": PEM, "kid": KID}      → {"token": ...}
  {"advance": SECONDS}           → {}          advances the verifier's clock
  {"verify": TOKEN}              → {"kid": ...} or {"error": ...}
  {"verify": TOKEN, "with": PEM} → {} or {"error": ...}; ignores the token's kid
"""

import json
import sys
import time
from unittest import mock

import jwt

offset = 0
real_monotonic = time.monotonic
mock.patch("time.monotonic", lambda: real_monotonic() + offset).start()
client = jwt.PyJWKClient(sys.argv[1], cache_keys=False, lifespan=600)


def run(command):
    global offset
    if "sign" in command:
        headers = {"kid": command["kid"]}
        return {"token": jwt.encode({"sub": "user"}, command["sign"], algorithm="RS256", headers=headers)}
    if "advance" in command:
        offset += command["advance"]
        return {}
    try:
        if "with" in command:
            jwt.decode(command["verify"], command["with"], algorithms=["RS256"])
            return {}
        key = client.get_signing_key_from_jwt(command["verify"])
        jwt.decode(command["verify"], key, algorithms=["RS256"])
        return {"kid": key.key_id}
    except jwt.PyJWTError as error:
        return {"error": str(error)}


print(json.dumps({"name": "PyJWT", "version": jwt.__version__}), flush=True)
for line in sys.stdin:
    print(json.dumps(run(json.loads(line))), flush=True)
