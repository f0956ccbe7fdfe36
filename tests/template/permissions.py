"""Prints what each function may do with the table and the secrets: an action on a kind of resource, and its conditions."""

import json

import stack

SECRETS = "arn:aws:secretsmanager:us-east-1:123456789012:secret:userdocks/production/apps"
KINDS = {
    "arn:aws:dynamodb:us-east-1:123456789012:table/userdocks-production": "the table",
    # The name without the suffix, too: IAM may check it if the secret does not exist.
    f"{SECRETS}/*/secret": "an app's secret",
    f"{SECRETS}/*/secret-??????": "an app's secret",
    f"{SECRETS}/*/signing-keys/*": "a private key",
    "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/userdocks-production": "the log group",
    "*": "everything",
}


def by_function(resources, made):
    """Each function's permissions in words, each with the conditions of which one has to hold."""
    permissions = {}
    for logical_id, name in stack.functions(resources).items():
        granted = permissions[name] = {}
        for action, resource, condition in stack.permissions(logical_id, resources, made)[0]:
            granted.setdefault(f"{action} on {KINDS[resource]}", []).append(condition)
    return permissions


if __name__ == "__main__":
    with stack.created() as (resources, made):
        permissions = by_function(resources, made)
    of_data = ("dynamodb:", "secretsmanager:")
    print(json.dumps({
        name: {words: conditions for words, conditions in granted.items() if words.startswith(of_data)}
        for name, granted in permissions.items()
    }))
