"""Prints each function's permissions for the table and the secrets: an action on a kind of resource, and its conditions."""

import json

import stack

SECRETS = "arn:aws:secretsmanager:us-east-1:123456789012:secret:userdocks/production/apps"
KINDS = {
    "arn:aws:dynamodb:us-east-1:123456789012:table/userdocks-production": "the table",
    # IAM may check the name without a suffix if the secret does not exist.
    f"{SECRETS}/*/secret": "an app's secret",
    f"{SECRETS}/*/secret-??????": "an app's secret",
    f"{SECRETS}/*/signing-keys/*": "a private key",
    "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/userdocks-production": "the log group",
    "*": "everything",
}


def by_function(resources, physical_ids):
    """Returns each function's permissions in words. At least one of a permission's conditions must hold."""
    permissions = {}
    for logical_id, name in stack.functions(resources).items():
        granted = permissions[name] = {}
        for action, resource, condition in stack.permissions(logical_id, resources, physical_ids)[0]:
            granted.setdefault(f"{action} on {KINDS[resource]}", []).append(condition)
    return permissions


if __name__ == "__main__":
    with stack.created() as (resources, physical_ids):
        permissions = by_function(resources, physical_ids)
    of_data = ("dynamodb:", "secretsmanager:")
    print(json.dumps({
        name: {words: conditions for words, conditions in granted.items() if words.startswith(of_data)}
        for name, granted in permissions.items()
    }))
