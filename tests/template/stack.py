"""The template as a stack: translated by SAM's own translator and created in moto's CloudFormation."""

import io
import json
import logging
import os
import zipfile
from ast import literal_eval
from contextlib import contextmanager
from pathlib import Path

# None of this machine's AWS settings.
for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
os.environ |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
# What AWS's own policies say; SAM gives the functions two of them.
os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"

import boto3
from moto import mock_aws
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

# SAM's translator warns of its own telemetry.
logging.disable(logging.WARNING)

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
NO_VALUE = {"Ref": "AWS::NoValue"}
# What moto has no model of, and what refers to that, which moto cannot make either: the dashboard and the permissions
# to call refer to the API and to the functions' aliases.
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
    """What CloudFormation makes of the template: plain resources, with all conditions decided."""
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

    # moto would leave a null in a list where CloudFormation leaves out AWS::NoValue.
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
    """The translated template, and the stack's resources that moto made of it: its name for each by ours."""
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
        made = cloudformation.describe_stack_resources(StackName="userdocks")["StackResources"]
        yield resources, {item["LogicalResourceId"]: item.get("PhysicalResourceId") for item in made}


def permissions(function, resources, made):
    """What a function's role allows within its boundary (action, resource and condition), and what it cannot use of that."""
    role = resources[f"{function}Role"]["Properties"]
    iam = boto3.client("iam")

    def document(arn):
        version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        return iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]

    # moto makes managed policies but attaches none; it keeps a role's own as Python prints them.
    documents = [document(arn if isinstance(arn, str) else made[arn["Ref"]]) for arn in role["ManagedPolicyArns"]]
    for name in iam.list_role_policies(RoleName=made[f"{function}Role"])["PolicyNames"]:
        own = iam.get_role_policy(RoleName=made[f"{function}Role"], PolicyName=name)["PolicyDocument"]
        documents.append(literal_eval(own))
    granted = [entry for granting in documents for entry in entries(granting, "Allow")]
    boundary = document(made[role["PermissionsBoundary"]["Ref"]])
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
    """Whether a condition has all that another one asks for: for each key no other values than that one's."""

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
    """A policy's statements of one effect, taken apart: action, resource and condition."""

    return [
        (action, resource, statement.get("Condition", {}))
        for statement in listed(document["Statement"])
        if statement["Effect"] == effect
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    ]


def functions(resources):
    """The functions' names without the environment, by their logical ids."""
    of_type = {name: item["Properties"] for name, item in resources.items() if item["Type"] == "AWS::Lambda::Function"}
    return {name: item["FunctionName"]["Fn::Sub"].removeprefix("userdocks-${Environment}-") for name, item in of_type.items()}
