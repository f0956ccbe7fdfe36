"""Finds an app's data with boto3, where the documents say that it is.

One JSON object on standard input: the stack's READY line with "app", "apiKey" (its value) and "signingKey" (its id).
One on standard output: what was found.
"""

import hashlib
import json
import sys

import boto3
from boto3.dynamodb.conditions import Key
from botocore.config import Config

ask = json.load(sys.stdin)
session = boto3.Session("local", "local", region_name="us-east-1")
direct = Config(proxies={})
table = session.resource("dynamodb", endpoint_url=ask["dynamodb"], config=direct).Table(ask["table"])
secrets = session.client("secretsmanager", endpoint_url=ask["secretsManager"], config=direct)

partition = f"APP#{ask['app']}"
folder = f"{ask['secretPrefix']}/apps/{ask['app']}"


def item(sort_key):
    return table.get_item(Key={"pk": partition, "sk": sort_key}, ConsistentRead=True)["Item"]


app = item("APP")
writes = Key("pk").eq(partition) & Key("sk").begins_with("IDEMPOTENCY#")
secret = secrets.get_secret_value(SecretId=f"{folder}/secret", VersionId=app["secretVersionId"])
private_key = secrets.get_secret_value(SecretId=f"{folder}/signing-keys/{ask['signingKey']}")
found = {
    "name": "boto3",
    "version": boto3.__version__,
    "app": app,
    "apiKey": item(f"APIKEY#{hashlib.sha256(ask['apiKey'].encode()).hexdigest()}"),
    "writes": table.query(KeyConditionExpression=writes, ConsistentRead=True)["Items"],
    "secret": secret["SecretString"],
    "privateKey": private_key["SecretString"],
}
# boto3 reads numbers as Decimal.
print(json.dumps(found, default=int))
