"""The template as a stack: translated by SAM's own translator and created in moto's CloudFormation."""

import io
import json
import logging
import os
import zipfile
from ast import literal_eval
from contextlib import contextmanager
from pathlib import Path

# The tests must not depend on this machine's AWS settings.
for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
os.environ |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
# SAM attaches two AWS managed policies to the functions.
os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"

import boto3
from moto import mock_aws
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

# SAM's translator logs warnings about its telemetry.
logging.disable(logging.WARNING)

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
NO_VALUE = {"Ref": "AWS::NoValue"}
# Resources that moto does not model, and resources that refer to them. The dashboard and the invoke permissions refer to
# the API and to the functions' aliases.
UNKNOWN_TO_MOTO = {
    "AWS::ApiGatewayV2::Api",
    "AWS::ApiGatewayV2::Stage",
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::CodeDeploy::Application",
    "AWS::CodeDeploy::DeploymentGroup",
    "AWS::Lambda::Alias",
    "AWS::Lambda::Permission",
    "AWS::Logs::MetricFilter",
}


def translate(parameters):
    """Returns the template as CloudFormation sees it: plain resources, with all conditions decided."""
    template = yaml_parse(TEMPLATE.read_text(encoding="utf-8"))
    template["Globals"]["Function"]["CodeUri"] = "s3://code/function.zip"
    values = {name: declared.get("Default") for name, declared in template["Parameters"].items()} | parameters
    translated = Translator({}, Parser()).translate(template, parameters)

    def holds(condition):
        match condition:
            case {"Fn::Equals": [left, right]}:
                return decided(left) == decided(right)
            case {"Fn::Not": [inner]}:
                return not holds(inner)
            case {"Fn::And": inner}:
                return all(map(holds, inner))
            case {"Condition": name}:
                return holds(declared_conditions[name])

    declared_conditions = translated.pop("Conditions")
    conditions = {}

    # CloudFormation removes AWS::NoValue from a list, but moto leaves a null.
    def decided(node):
        match node:
            case {"Ref": name} if name in values:
                return values[name]
            case {"Fn::If": [condition, yes, no]}:
                return decided(yes if conditions[condition] else no)
            case dict():
                decided_items = {key: decided(value) for key, value in node.items()}
                return {key: value for key, value in decided_items.items() if value != NO_VALUE}
            case list():
                return [value for value in map(decided, node) if value != NO_VALUE]
        return node

    conditions |= {name: holds(condition) for name, condition in declared_conditions.items()}
    for section in ["Resources", "Outputs"]:
        translated[section] = {
            name: decided({key: value for key, value in item.items() if key != "Condition"})
            for name, item in translated[section].items()
            if conditions.get(item.get("Condition"), True)
        }
    return translated


@contextmanager
def created(**parameters):
    """Creates the stack in moto. Returns the translated resources and their physical ids, both by logical id."""
    template = translate(parameters)
    resources, _ = template["Resources"], template.pop("Outputs")
    template["Resources"] = {name: item for name, item in resources.items() if item["Type"] not in UNKNOWN_TO_MOTO}
    with mock_aws():
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as code:
            code.writestr("bootstrap", "")
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="code")
        s3.put_object(Bucket="code", Key="function.zip", Body=archive.getvalue())
        cloudformation = boto3.client("cloudformation")
        cloudformation.create_stack(
            StackName="userdocks",
            TemplateBody=json.dumps(template),
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
        )
        created_resources = cloudformation.describe_stack_resources(StackName="userdocks")["StackResources"]
        yield resources, {item["LogicalResourceId"]: item.get("PhysicalResourceId") for item in created_resources}


def permissions(function, resources, physical_ids):
    """Returns the permissions of a function's role that its boundary allows, and those that the boundary cuts.

    A permission is an action, a resource and a condition. A permission that is cut has no condition.
    """
    role = resources[f"{function}Role"]["Properties"]
    iam = boto3.client("iam")

    def document(arn):
        version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        return iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]

    # moto does not attach managed policies. It stores a role's inline policies as Python prints them.
    documents = [document(arn if isinstance(arn, str) else physical_ids[arn["Ref"]]) for arn in role["ManagedPolicyArns"]]
    for name in iam.list_role_policies(RoleName=physical_ids[f"{function}Role"])["PolicyNames"]:
        own = iam.get_role_policy(RoleName=physical_ids[f"{function}Role"], PolicyName=name)["PolicyDocument"]
        documents.append(literal_eval(own))
    granted = [entry for granting in documents for entry in entries(granting, "Allow")]
    boundary = document(physical_ids[role["PermissionsBoundary"]["Ref"]])
    limits = entries(boundary, "Allow")
    denied = [(action, resource) for action, resource, condition in entries(boundary, "Deny") if not condition]

    usable, unusable = [], []
    for action, resource, condition in granted:
        within = [
            (action, limit if resource == "*" else resource, condition)
            for allowed, limit, limiting in limits
            if action == allowed and (resource in (limit, "*") or limit == "*") and (action, resource) not in denied
            if is_as_narrow(condition, limiting)
        ]
        usable += within
        unusable += [] if within else [(action, resource)]
    return usable, unusable


def is_as_narrow(condition, limit):
    """Returns whether a condition has every key of the limit, and no values beyond the limit's."""

    def values(node, operator, key):
        return {json.dumps(value) for value in listed(node.get(operator, {}).get(key, []))}

    return all(
        values(condition, operator, key) and values(condition, operator, key) <= values(limit, operator, key)
        for operator, asked in limit.items()
        for key in asked
    )


def listed(value):
    return value if isinstance(value, list) else [value]


def entries(document, effect):
    """Returns the action, resource and condition of each entry of a policy's statements with that effect."""

    return [
        (action, resource, statement.get("Condition", {}))
        for statement in listed(document["Statement"])
        if statement["Effect"] == effect
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    ]


def functions(resources):
    """Returns the functions' names without the environment, by logical id."""
    of_type = {name: item["Properties"] for name, item in resources.items() if item["Type"] == "AWS::Lambda::Function"}
    return {name: item["FunctionName"]["Fn::Sub"].removeprefix("userdocks-${Environment}-") for name, item in of_type.items()}
