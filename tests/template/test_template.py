"""Tests of the template with default parameters and with every option: permissions and created resources."""

import json
import random
import re
import tomllib
import unittest
import uuid
from graphlib import TopologicalSorter

import boto3

import permissions
import stack

KMS_KEY = "arn:aws:kms:us-east-1:123456789012:key/9f1c8a52-3f0e-4d29-9c9b-2d7f3c6a1b11"
TOPIC = "arn:aws:sns:us-east-1:123456789012:alarms"
EVERY_OPTION = {
    "LogLevel": "DEBUG",
    "LogRetentionDays": "365",
    "Tracing": "PassThrough",
    "RequestRate": "7",
    "RequestBurst": "8",
    "KeyCreationConcurrency": "3",
    "ExecuteApiEndpoint": "off",
    "KmsKeyArn": KMS_KEY,
    "AlarmTopicArn": TOPIC,
    "Deployment": "Canary10Percent5Minutes",
}
ALARMS = {"failures", "leaked", "read-throttles", "rejected", "server-errors", "slow-answers", "unauthorized", "write-throttles"}
# These functions have their own boundary, which allows no access to secrets.
ISSUERS = {"post-app-api-keys"}
UUIDS = random.Random(1)


def of_type(resources, kind):
    return {name: item["Properties"] for name, item in resources.items() if item["Type"] == kind}


def matches(pattern, arn):
    """Matches as IAM does: `*` is any text with slashes, and `?` is any character."""
    return re.fullmatch("".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern), arn) is not None


def random_uuid():
    return uuid.UUID(int=UUIDS.getrandbits(128), version=4)


def secret_arn(name):
    """Returns a secret's ARN, whose name ends with a hyphen and six random letters and digits."""
    suffix = "".join(UUIDS.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", k=6))
    return f"arn:aws:secretsmanager:us-east-1:123456789012:secret:{name}-{suffix}"


def without_suffix(arn):
    return arn[: -len("-AbCdEf")]


def app_secret(environment="production"):
    return secret_arn(f"userdocks/{environment}/apps/{random_uuid()}/secret")


def private_key(environment="production"):
    return secret_arn(f"userdocks/{environment}/apps/{random_uuid()}/signing-keys/appkey_{random_uuid()}")


class Permissions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        created = stack.created()
        cls.resources, cls.physical_ids = created.__enter__()
        cls.addClassCleanup(created.__exit__, None, None, None)
        cls.by_function = permissions.by_function(cls.resources, cls.physical_ids)

    def functions_with(self, *words):
        return {name for name, granted in self.by_function.items() if any(word in granted for word in words)}

    def test_two_functions_write_secrets_and_two_read_them(self):
        actions = {words.split(" on ")[0] for granted in self.by_function.values() for words in granted}
        writing = {
            f"{action} on {kind}"
            for action in actions
            if action.startswith("secretsmanager:") and action != "secretsmanager:GetSecretValue"
            for kind in permissions.KINDS.values()
        }
        self.assertEqual(self.functions_with(*writing), {"post-app-keys", "post-app-secrets"})
        reading = "secretsmanager:GetSecretValue on an app's secret"
        self.assertEqual(self.functions_with(reading), {"get-app-secrets", "post-app-secrets"})
        conditions = self.by_function["post-app-secrets"][reading]
        by_version = {"Null": {"secretsmanager:VersionId": "false"}}
        self.assertEqual(conditions, [by_version] * 2, "only with a version, by name and by ARN")

    def test_no_function_reads_private_keys(self):
        readable = {
            resource
            for function in stack.functions(self.resources)
            for action, resource, _ in stack.permissions(function, self.resources, self.physical_ids)[0]
            if action == "secretsmanager:GetSecretValue"
        }
        for _ in range(1000):
            key = private_key()
            # The last slash in the pattern of app secrets is at the place of a digit of the private key's id.
            self.assertRegex(key[-len("/secret-??????")], "[0-9a-f]")
            self.assertFalse([pattern for pattern in readable if matches(pattern, key)], key)
            self.assertTrue([pattern for pattern in readable if matches(pattern, app_secret())])

    def test_pattern_matches_only_its_kind_and_environment(self):
        absent, secrets, keys = (pattern for pattern, kind in permissions.KINDS.items() if ":secret:" in pattern)
        for _ in range(1000):
            self.assertTrue(matches(secrets, app_secret()) and matches(keys, private_key()))
            self.assertTrue(matches(absent, without_suffix(app_secret())) and matches(keys, without_suffix(private_key())))
            self.assertFalse(matches(keys, app_secret()) or matches(secrets, private_key()))
            for arn in [app_secret(), private_key(), without_suffix(private_key())]:
                self.assertFalse(matches(absent, arn), arn)
            for other in ["staging", "production2", "a-production"]:
                for arn in [app_secret(other), private_key(other)]:
                    for name in [arn, without_suffix(arn)]:
                        self.assertFalse(matches(absent, name) or matches(secrets, name) or matches(keys, name), name)

    def test_secret_is_granted_by_name_and_by_arn(self):
        by_name, by_arn = (pattern for pattern, kind in permissions.KINDS.items() if kind == "an app's secret")
        documents = [item["PolicyDocument"] for item in of_type(self.resources, "AWS::IAM::ManagedPolicy").values()]
        for role in of_type(self.resources, "AWS::IAM::Role").values():
            documents += [policy["PolicyDocument"] for policy in role.get("Policies", [])]
        resources = [
            statement["Resource"] for document in documents for statement in document["Statement"] if "/secret" in str(statement)
        ]
        self.assertEqual(len(resources), 4)
        expected = [by_name.split("/apps")[1], by_arn.split("/apps")[1]]
        for resource in resources:
            self.assertEqual([pattern["Fn::Sub"].split("/apps")[1] for pattern in resource], expected)

    def boundary(self, logical_id):
        """Returns a boundary's document and the names of its functions."""
        iam = boto3.client("iam")
        document = iam.get_policy_version(PolicyArn=self.physical_ids[logical_id], VersionId="v1")["PolicyVersion"]["Document"]
        functions = stack.functions(self.resources).items()
        boundaries = {name: self.resources[f"{function}Role"]["Properties"]["PermissionsBoundary"] for function, name in functions}
        return document, {name for name, boundary in boundaries.items() if boundary == {"Ref": logical_id}}

    def conditions_of_writes(self, name):
        """Returns each write permission of a function in words, with its condition."""
        return [
            (words, condition)
            for words, conditions in self.by_function[name].items()
            if words.startswith(("dynamodb:PutItem", "dynamodb:UpdateItem"))
            for condition in conditions
        ]

    def written(self, name):
        conditions = [condition for _, condition in self.conditions_of_writes(name)]
        return {item for condition in conditions for item in condition["ForAllValues:StringEquals"]["dynamodb:Attributes"]}

    def functions_writing(self, attribute):
        return {name for name in self.by_function if attribute in self.written(name)}

    def test_boundary_allows_exactly_what_its_functions_use(self):
        for logical_id, statements in {"Boundary": 9, "IssuerBoundary": 6}.items():
            document, functions = self.boundary(logical_id)
            self.assertEqual(functions & ISSUERS, ISSUERS if logical_id == "IssuerBoundary" else set())
            used = {words for name in functions for words in self.by_function[name]}
            limits = {f"{action} on {permissions.KINDS[resource]}" for action, resource, _ in stack.entries(document, "Allow")}
            self.assertEqual(limits, used, logical_id)
            self.assertEqual(len(document["Statement"]), statements, logical_id)
            single_writes = {
                attribute
                for name in functions
                for words, condition in self.conditions_of_writes(name)
                if "ForAnyValue:StringEquals" not in condition
                for attribute in condition["ForAllValues:StringEquals"]["dynamodb:Attributes"]
            }
            [limit] = [
                set(condition["ForAllValues:StringEquals"]["dynamodb:Attributes"])
                for _, _, condition in stack.entries(document, "Allow")
                if "ForAllValues:StringEquals" in condition
            ]
            self.assertEqual(limit, single_writes, logical_id)

    def test_only_issuer_creates_api_keys_and_nothing_enables_apps(self):
        for attribute in ["hint", "type", "issuedBy"]:
            self.assertEqual(self.functions_writing(attribute), ISSUERS, attribute)
        self.assertEqual(self.functions_writing("isDisabled"), set())
        for logical_id, attributes in {"Boundary": ["hint", "isDisabled"], "IssuerBoundary": ["isDisabled"]}.items():
            document, _ = self.boundary(logical_id)
            # "ForAnyValue" needs no guard: the Deny applies only if DynamoDB sets the key, and then to any of the attributes.
            denied = {"ForAnyValue:StringEquals": {"dynamodb:Attributes": attributes}}
            entries = [(action, condition) for action, _, condition in stack.entries(document, "Deny") if "dynamodb" in action]
            self.assertEqual(entries, [("dynamodb:PutItem", denied), ("dynamodb:UpdateItem", denied)], logical_id)

    def test_issuer_changes_no_secret_and_no_signing_key(self):
        for name in ISSUERS:
            self.assertFalse([words for words in self.by_function[name] if words.startswith("secretsmanager:")], name)
            self.assertFalse(self.written(name) & {"signingKeys", "secretVersionId", "previousSecretVersionId"}, name)

    def test_only_api_key_routes_and_leak_reports_change_keys(self):
        functions = {"post-app-api-keys", "delete-app-api-key", "post-leaks"}
        self.assertEqual(self.functions_writing("revokedAt"), functions)
        self.assertEqual(self.functions_writing("expiresAt"), functions - {"delete-app-api-key"})
        self.assertEqual(self.functions_with("dynamodb:Query on the table"), functions | {"get-app-api-keys"})

    def test_writes_are_in_transactions_except_uses_and_leaks(self):
        use = ["pk", "sk", "lastUsedAt"]
        special = {
            "get-app-jwks": [],
            "get-app-secrets": [[*use, "fetchedVersionId", "fetchedAt"]],
            "post-app-api-keys": [[*use, "app", "ttl"]],
            "delete-app-api-key": [[*use, "app", "ttl"]],
            "post-leaks": [["pk", "sk", "revokedAt", "updatedAt", "expiresAt"]],
        }
        for name in self.by_function:
            in_transaction = {"dynamodb:EnclosingOperation": "TransactWriteItems"}
            single_writes = [
                (words, condition)
                for words, condition in self.conditions_of_writes(name)
                if condition.get("ForAnyValue:StringEquals") != in_transaction
            ]
            attributes = [condition["ForAllValues:StringEquals"]["dynamodb:Attributes"] for _, condition in single_writes]
            self.assertEqual(attributes, special.get(name, [use]), name)
            for words, condition in single_writes:
                self.assertEqual(words, "dynamodb:UpdateItem on the table", name)
                self.assertEqual(condition["Null"], {"dynamodb:Attributes": "false"}, name)
                self.assertEqual(condition["StringEqualsIfExists"], {"dynamodb:ReturnValues": "NONE"}, name)

    def test_only_xray_has_every_resource_and_no_action_has_star(self):
        for name, granted in self.by_function.items():
            with_star = {words for words in granted if words.endswith(" on everything")}
            xray = {"xray:PutTraceSegments on everything", "xray:PutTelemetryRecords on everything"}
            self.assertEqual(with_star, xray, name)
            self.assertFalse([words for words in granted if "*" in words], name)
            logs = {words for words in granted if words.startswith("logs:")}
            self.assertEqual(logs, {"logs:CreateLogStream on the log group", "logs:PutLogEvents on the log group"}, name)

    def test_own_policies_have_star_only_in_boundary_for_xray(self):
        own = {name: item["PolicyDocument"] for name, item in of_type(self.resources, "AWS::IAM::ManagedPolicy").items()}
        for role in of_type(self.resources, "AWS::IAM::Role").values():
            own |= {policy["PolicyName"]: policy["PolicyDocument"] for policy in role.get("Policies", [])}
        stars = {
            (name, action)
            for name, document in own.items()
            for effect in ["Allow", "Deny"]
            for action, resource, _ in stack.entries(document, effect)
            if resource == "*" or "*" in action
        }
        xray = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}
        self.assertEqual(stars, {(name, action) for name in ["Boundary", "IssuerBoundary"] for action in xray})

    def test_boundary_cuts_only_excess_of_aws_managed_policies(self):
        for function in stack.functions(self.resources):
            _, unusable = stack.permissions(function, self.resources, self.physical_ids)
            sampling = {"GetSamplingRules", "GetSamplingTargets", "GetSamplingStatisticSummaries"}
            self.assertEqual(
                set(unusable), {("logs:CreateLogGroup", "*")} | {(f"xray:{action}", "*") for action in sampling}, function
            )


class Created(unittest.TestCase):
    def test_with_default_parameters(self):
        with stack.created() as (resources, physical_ids):
            self.assert_is_whole(resources, physical_ids, retention=30, kms_key="")
            self.assertFalse([name for name, item in resources.items() if "CodeDeploy" in item["Type"]])
            for alarm in of_type(resources, "AWS::CloudWatch::Alarm").values():
                self.assertNotIn("AlarmActions", alarm)
            modes = {item["TracingConfig"]["Mode"] for item in of_type(resources, "AWS::Lambda::Function").values()}
            self.assertEqual(modes, {"Active"})

    def test_with_every_option(self):
        with stack.created(**EVERY_OPTION) as (resources, physical_ids):
            self.assert_is_whole(resources, physical_ids, retention=365, kms_key=KMS_KEY)
            for group in of_type(resources, "AWS::CodeDeploy::DeploymentGroup").values():
                self.assertEqual(group["AlarmConfiguration"], {"Enabled": True, "Alarms": [{"Name": {"Ref": "FailuresAlarm"}}]})
                self.assertIn("DEPLOYMENT_STOP_ON_ALARM", group["AutoRollbackConfiguration"]["Events"])
                self.assertIn("Canary10Percent5Minutes", str(group["DeploymentConfigName"]))
            self.assertEqual(len(of_type(resources, "AWS::CodeDeploy::DeploymentGroup")), 12)
            [role] = [item["Properties"] for name, item in resources.items() if name == "CodeDeployServiceRole"]
            codedeploy = "arn:aws:iam::aws:policy/service-role/AWSCodeDeployRoleForLambda"
            self.assertEqual((role["ManagedPolicyArns"], role.get("Policies", [])), ([codedeploy], []))
            [principal] = [item["Principal"] for item in role["AssumeRolePolicyDocument"]["Statement"]]
            self.assertEqual(principal, {"Service": ["codedeploy.amazonaws.com"]}, "only CodeDeploy may assume the role")
            for alarm in of_type(resources, "AWS::CloudWatch::Alarm").values():
                self.assertEqual((alarm["AlarmActions"], alarm["OKActions"]), ([TOPIC], [TOPIC]))
            [stage] = of_type(resources, "AWS::ApiGatewayV2::Stage").values()
            limits = {"ThrottlingRateLimit": "7", "ThrottlingBurstLimit": "8"}
            self.assertEqual(stage["DefaultRouteSettings"], limits)
            limits = {
                "POST /api/v1/apps/{appId}/secrets": 10,
                "POST /api/v1/apps/{appUuid}/api-keys": 10,
                "POST /api/v1/leaks": 5,
            }
            limits = {route: {"ThrottlingRateLimit": rate, "ThrottlingBurstLimit": rate} for route, rate in limits.items()}
            self.assertEqual(stage["RouteSettings"], limits, "all other routes have the default limits")
            self.assertEqual(resources["PostAppKeys"]["Properties"]["ReservedConcurrentExecutions"], "3")
            self.assertIs(self.is_execute_api_endpoint_disabled(resources), True)
            for function in of_type(resources, "AWS::Lambda::Function").values():
                self.assertEqual(function["TracingConfig"], {"Mode": "PassThrough"})
                self.assertEqual(function["LoggingConfig"]["ApplicationLogLevel"], "DEBUG")

    @staticmethod
    def is_execute_api_endpoint_disabled(resources):
        [server] = resources["Api"]["Properties"]["Body"]["servers"]
        return server["x-amazon-apigateway-endpoint-configuration"]["disableExecuteApiEndpoint"]

    def test_optional_limits_can_be_off(self):
        resources = stack.translate({"KeyCreationConcurrency": "0"})["Resources"]
        self.assertNotIn("ReservedConcurrentExecutions", resources["PostAppKeys"]["Properties"])
        self.assertIs(self.is_execute_api_endpoint_disabled(resources), False)
        resources = stack.translate({})["Resources"]
        limited = {name for name, item in of_type(resources, "AWS::Lambda::Function").items() if "ReservedConcurrentExecutions" in item}
        self.assertEqual(limited, {"PostAppKeys"})

    def test_route_with_limits_exists(self):
        # API Gateway rejects the limits of a route that it does not have.
        for reports in ["on", "off"]:
            resources = stack.translate({"LeakReports": reports})["Resources"]
            paths = resources["Api"]["Properties"]["Body"]["paths"]
            routes = {f"{method.upper()} {path}" for path, item in paths.items() for method in item}
            [deployed] = of_type(resources, "AWS::ApiGatewayV2::Stage").values()
            self.assertFalse(set(deployed["RouteSettings"]) - routes, reports)
            self.assertEqual(len(routes), len(stack.functions(resources)), reports)

    def test_access_log_shows_nothing_that_can_hold_api_key(self):
        """A header holds one, and so may a path or its parameter."""
        [deployed] = of_type(stack.translate({})["Resources"], "AWS::ApiGatewayV2::Stage").values()
        logged = set(json.loads(deployed["AccessLogSettings"]["Format"]).values())
        allowed = {"requestId", "requestTime", "routeKey", "status", "identity.sourceIp", "responseLatency", "integrationErrorMessage"}
        self.assertEqual(logged, {f"$context.{name}" for name in allowed})

    def test_leak_reports_can_be_off(self):
        with_reports = stack.translate({})
        without = stack.translate({"LeakReports": "off"})
        left_out = {name for name in with_reports["Resources"] if name not in without["Resources"]}
        of_function = {"PostLeaks", "PostLeaksRole", "PostLeaksAliaslive", "PostLeaksRoutePermission"}
        self.assertEqual({name for name in left_out if not name.startswith("PostLeaksVersion")}, of_function | {"Leaked", "LeakedAlarm"})
        self.assertEqual(set(with_reports["Outputs"]) - set(without["Outputs"]), {"PostLeaksName"})
        # Neither the dashboard nor an alarm refers to the missing function.
        self.assertFalse(re.findall(r'"PostLeaks[."]|/leaks"', json.dumps(without["Resources"]).replace('"/api/v1/leaks": {}', "")))
        names = {item["AlarmName"]["Fn::Sub"] for item in of_type(without["Resources"], "AWS::CloudWatch::Alarm").values()}
        self.assertEqual(names, {f"userdocks-${{Environment}}-{name}" for name in ALARMS - {"leaked"}})

    def test_no_customer_can_undo_deployment(self):
        resources = stack.translate(EVERY_OPTION)["Resources"]
        pattern = resources["Failures"]["Properties"]["FilterPattern"]
        self.assertIn('($.level = "ERROR" && $.fault NOT EXISTS)', pattern, "failures of one app have a `fault` and do not count")
        alarm = resources["FailuresAlarm"]["Properties"]
        self.assertEqual(alarm["MetricName"], {"Fn::Sub": "${Environment}-failures"})

    def test_alarm_has_at_most_10_metrics(self):
        # CloudWatch's limit for metric maths includes expressions.
        for name, alarm in of_type(stack.translate(EVERY_OPTION)["Resources"], "AWS::CloudWatch::Alarm").items():
            self.assertLessEqual(len(alarm.get("Metrics", [])), 10, name)

    def test_stack_without_alarms_has_no_costs_and_no_rollback(self):
        resources = stack.translate({"Alarms": "off", "Deployment": "Linear10PercentEvery1Minute"})["Resources"]
        self.assertFalse([name for name, item in resources.items() if "CloudWatch" in item["Type"] or "Metric" in item["Type"]])
        for group in of_type(resources, "AWS::CodeDeploy::DeploymentGroup").values():
            self.assertFalse(group.get("AlarmConfiguration"))

    def test_release_publishes_new_version_of_every_function(self):
        def versions(release, log_level="INFO"):
            resources = stack.translate({"Release": release, "LogLevel": log_level})["Resources"]
            aliases = of_type(resources, "AWS::Lambda::Alias").values()
            self.assertEqual(len(aliases), len(stack.functions(resources)))
            # Lambda publishes a version only if the code or the configuration has changed.
            descriptions = {item.get("Description", "") for item in of_type(resources, "AWS::Lambda::Function").values()}
            self.assertEqual(descriptions, {release})
            return {alias["FunctionVersion"]["Fn::GetAtt"][0] for alias in aliases}

        none, first, second = versions(""), versions("first"), versions("second")
        self.assertFalse(none & first or first & second or none & second)
        self.assertEqual(none, versions("", "DEBUG"), "a parameter alone publishes nothing")
        pattern = stack.yaml_parse(stack.TEMPLATE.read_text())["Parameters"]["Release"]["AllowedPattern"]
        self.assertTrue(re.fullmatch(pattern, "2611251337"), "a date with hours and minutes")
        self.assertFalse(re.fullmatch(pattern, "26112513370"), "SAM ignores all characters after the tenth")

    def test_resources_have_no_circular_dependency(self):
        # CloudFormation rejects a cycle. A function's alias depends on its deployment group, and the group on its alarms.
        for parameters in [{}, EVERY_OPTION]:
            resources = stack.translate(parameters)["Resources"]
            text = {name: json.dumps(item) for name, item in resources.items()}
            refers = {
                name: {
                    other
                    for other in resources
                    if re.search(rf'"Ref": "{other}"|"Fn::GetAtt": \["{other}"|\$\{{{other}[.}}]', text[name])
                }
                for name in resources
            }
            self.assertEqual(len(list(TopologicalSorter(refers).static_order())), len(resources))

    def assert_is_whole(self, resources, physical_ids, retention, kms_key):
        """Checks what a stack has with any parameters: in moto if it models a property, else in the translated template."""
        table = resources["Table"]
        self.assertEqual((table["DeletionPolicy"], table["UpdateReplacePolicy"]), ("RetainExceptOnCreate", "Retain"))
        # Protection would prevent the rollback of a failed first deployment.
        self.assertNotIn("DeletionProtectionEnabled", table["Properties"])
        self.assertEqual(table["Properties"]["PointInTimeRecoverySpecification"], {"PointInTimeRecoveryEnabled": True})
        self.assertEqual(table["Properties"]["TimeToLiveSpecification"], {"AttributeName": "ttl", "Enabled": True})
        described = boto3.client("dynamodb").describe_table(TableName="userdocks-production")["Table"]
        self.assertEqual([key["AttributeName"] for key in described["KeySchema"]], ["pk", "sk"])
        self.assertEqual(described["BillingModeSummary"]["BillingMode"], "PAY_PER_REQUEST")
        encryption = {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": kms_key} if kms_key else None
        self.assertEqual(table["Properties"].get("SSESpecification"), encryption, "encryption without an own key is free of charge")

        groups = boto3.client("logs").describe_log_groups()["logGroups"]
        self.assertEqual(
            {(group["logGroupName"], int(group["retentionInDays"])) for group in groups},
            {(f"/aws/{service}/userdocks-production", retention) for service in ["vendedlogs", "lambda"]},
        )
        for group in of_type(resources, "AWS::Logs::LogGroup").values():
            self.assertEqual(group.get("KmsKeyId", ""), kms_key)
        self.assertFalse(of_type(resources, "AWS::SecretsManager::Secret"), "secrets must survive the stack")

        functions = {item["FunctionName"]: item for item in boto3.client("lambda").list_functions()["Functions"]}
        self.assertEqual(len(functions), 12)
        for logical_id, name in stack.functions(resources).items():
            variables = functions[f"userdocks-production-{name}"]["Environment"]["Variables"]
            expected = {
                "TABLE_NAME": "userdocks-production",
                "SECRET_PREFIX": "userdocks/production",
                "AWS_ENDPOINT_URL_DYNAMODB": "https://dynamodb.us-east-1.amazonaws.com",
                "AWS_ENDPOINT_URL_SECRETS_MANAGER": "https://secretsmanager.us-east-1.amazonaws.com",
            }
            if name == "post-app-keys":
                expected["SECRETS_KMS_KEY_ID"] = kms_key
            self.assertEqual(variables, expected, name)
            properties = resources[logical_id]["Properties"]
            self.assertEqual(properties["LoggingConfig"]["LogGroup"], {"Ref": "FunctionLogs"})
            self.assertEqual(resources[f"{logical_id}Aliaslive"]["Properties"]["FunctionName"], {"Ref": logical_id})
            self.assert_uses_key(logical_id, name, resources, physical_ids, kms_key)

        alarms = of_type(resources, "AWS::CloudWatch::Alarm").values()
        names = {alarm["AlarmName"]["Fn::Sub"].removeprefix("userdocks-${Environment}-") for alarm in alarms}
        self.assertEqual(names, ALARMS)
        # AWS charges for each metric of an alarm.
        metrics = sum(len([item for item in alarm.get("Metrics", [1]) if item == 1 or "MetricStat" in item]) for alarm in alarms)
        self.assertEqual(metrics, 18)
        filters = of_type(resources, "AWS::Logs::MetricFilter").values()
        counted = {item["MetricTransformations"][0]["MetricName"]["Fn::Sub"] for item in filters}
        watched = {alarm["MetricName"]["Fn::Sub"] for alarm in alarms if alarm.get("Namespace") == "UserDocks"}
        self.assertEqual(watched, counted)
        throttles = [item["MetricStat"]["Metric"] for alarm in alarms for item in alarm.get("Metrics", []) if "MetricStat" in item]
        watched = [metric["Dimensions"][0]["Value"]["Ref"] for metric in throttles]
        self.assertEqual(sorted(watched), sorted(stack.functions(resources)))
        [dashboard] = of_type(resources, "AWS::CloudWatch::Dashboard").values()
        self.assertEqual(len(json.loads(dashboard["DashboardBody"]["Fn::Sub"])["widgets"]), 6)

    def assert_uses_key(self, logical_id, name, resources, physical_ids, kms_key):
        usable, _ = stack.permissions(logical_id, resources, physical_ids)
        found = {
            (action, condition["StringEquals"]["kms:ViaService"].split(".")[0])
            for action, resource, condition in usable
            if resource == kms_key
        }
        writing = {("kms:Decrypt", "secretsmanager"), ("kms:GenerateDataKey", "secretsmanager")}
        of_secrets = {
            "get-app-secrets": {("kms:Decrypt", "secretsmanager")},
            "post-app-keys": writing,
            "post-app-secrets": writing,
        }
        expected = {("kms:Decrypt", "dynamodb")} | of_secrets.get(name, set()) if kms_key else set()
        self.assertEqual(found, expected, name)


class SamConfiguration(unittest.TestCase):
    def test_environments_have_only_parameters_of_template(self):
        declared = stack.yaml_parse(stack.TEMPLATE.read_text(encoding="utf-8"))["Parameters"]
        configuration = tomllib.loads((stack.TEMPLATE.parent / "samconfig.toml").read_text(encoding="utf-8"))
        for environment in ["default", "local", "staging", "production"]:
            commands = {name: command["parameters"] for name, command in configuration[environment].items() if name != "global"}
            for name, command in commands.items():
                given = dict(item.split("=", 1) for item in command.get("parameter_overrides", "Environment=production").split())
                for parameter, value in given.items():
                    allowed = declared[parameter].get("AllowedValues")
                    self.assertTrue(not allowed or value in map(str, allowed), f"{environment} {name}: {parameter}={value}")
                expected = "production" if environment == "default" else environment
                self.assertEqual(given["Environment"], expected, f"{environment} {name}")
        self.assertEqual(configuration["default"]["deploy"], configuration["production"]["deploy"])


if __name__ == "__main__":
    unittest.main()
