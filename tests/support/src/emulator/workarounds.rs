//! Workarounds for the emulator's gaps. Each fails once the emulator no longer needs it.
//!
//! Other gaps need no workaround: throttles, TTL, encryption, CodeDeploy, access logs, and taken names of tables and
//! functions.

use std::fs;

use serde_json::{Value, json};

use super::{Emulator, STACK, STAGE, TABLE};
use crate::project;

/// Creates the routes in the `Body` of the deployed API, which the emulator's CloudFormation ignores. Returns the API's id.
#[must_use]
pub fn create_routes(emulator: &Emulator) -> String {
    let resources = emulator.resources();
    let api = resources["Api"].as_str().unwrap();
    let routes = emulator.aws(&["apigatewayv2", "get-routes", "--api-id", api]);
    assert_eq!(routes["Items"], json!([]), "CloudFormation creates the routes: remove this workaround");

    let get_template = ["cloudformation", "get-template", "--stack-name", STACK, "--template-stage", "Processed"];
    let mut template = emulator.aws(&get_template)["TemplateBody"].take();
    if let Some(text) = template.as_str() {
        template = serde_json::from_str(text).unwrap();
    }
    let paths = template["Resources"]["Api"]["Properties"]["Body"]["paths"].as_object().unwrap();
    for (path, methods) in paths {
        for (method, operation) in if_true(methods).as_object().unwrap() {
            let integration = &if_true(operation)["x-amazon-apigateway-integration"];
            let uri = if_true(&integration["uri"])["Fn::Sub"].as_str().unwrap();
            let alias = uri.split("${").last().unwrap().split('}').next().unwrap();
            let integration = json!({
                "integrationType": "AWS_PROXY",
                "integrationUri": resources[alias],
                "payloadFormatVersion": integration["payloadFormatVersion"],
            });
            let created = emulator.post(&format!("/v2/apis/{api}/integrations"), &integration);
            let target = format!("integrations/{}", created["integrationId"].as_str().unwrap());
            let route = json!({"routeKey": format!("{} {path}", method.to_uppercase()), "target": target});
            assert!(emulator.post(&format!("/v2/apis/{api}/routes"), &route)["routeId"].is_string());
        }
    }
    api.to_owned()
}

/// Returns the value, or its branch for a true condition. SAM's conditions are true in the deployed stack.
fn if_true(value: &Value) -> &Value {
    value.get("Fn::If").map_or(value, |branches| &branches[1])
}

/// Returns the arguments that deploy a copy of the template whose default `Release` is that release. The emulator's
/// CloudFormation gives SAM's transform only default values, so a `Release` on the command line publishes nothing.
#[must_use]
pub fn arguments_of_release(release: &str) -> String {
    arguments_of_changed_template("\n  Release:\n    Type: String\n    Default: ", "''", release)
}

/// Fails if the stack's first deployment does not need [`arguments_of_release`].
pub fn assert_releases_are_ignored(emulator: &Emulator) {
    let line = format!("sam deploy --config-env {STAGE} --parameter-overrides Release=ignored");
    let error =
        emulator.shell(&line).expect_err("CloudFormation gives SAM the parameters' values: remove the workaround");
    assert!(error.contains("No changes to deploy"), "{error}");
}

/// Returns the arguments that deploy a copy of the built template in which the text after another text is replaced.
#[must_use]
pub fn arguments_of_changed_template(after: &str, from: &str, to: &str) -> String {
    let built = project().join(".aws-sam/build/template.yaml");
    let (text, changed) = (fs::read_to_string(&built).unwrap(), built.with_file_name("changed.yaml"));
    assert_eq!(text.matches(&format!("{after}{from}")).count(), 1, "{after}{from}");
    fs::write(&changed, text.replacen(&format!("{after}{from}"), &format!("{after}{to}"), 1)).unwrap();
    // SAM looks for its configuration beside the template.
    let configuration = project().join("samconfig.toml");
    format!("--template-file '{}' --config-file '{}'", changed.display(), configuration.display())
}

/// Restores the label of an app's first version. The emulator keeps only one label of a version that is stored with two.
pub fn label_first_version(emulator: &Emulator, app: &str) {
    let repaired = emulator.admin(&["doctor", "--app", app, "--repair"]);
    let kinds: Vec<_> = repaired["findings"].as_array().unwrap().iter().map(|finding| &finding["kind"]).collect();
    assert_eq!(kinds, ["unlabelled-version"], "the emulator keeps both labels: remove this workaround");
}

/// Condition keys that the emulator never sets. It denies every call that they should allow.
const UNKNOWN_KEYS: [&str; 2] = ["dynamodb:Attributes", "secretsmanager:VersionId"];

/// A function's role and the statements of the template's policies for it.
pub struct Role {
    name: String,
    /// The function's name without the stage.
    pub function: String,
    statements: Vec<Value>,
}

/// Makes the roles of all functions enforceable. Each role gets one inline policy with the template's statements, and the
/// boundary that the emulator's CloudFormation ignores. Conditions on [`UNKNOWN_KEYS`] are removed from both.
#[must_use]
pub fn enforceable_roles(emulator: &Emulator) -> Vec<Role> {
    for key in UNKNOWN_KEYS {
        assert!(is_unknown(emulator, key), "the emulator knows {key}: remove it from this workaround");
    }
    let resources = emulator.resources();
    let boundary = resources["Boundary"].as_str().unwrap();
    let account = emulator.aws(&["iam", "get-account-authorization-details"]);
    let policies = account["Policies"].as_array().unwrap();
    let statements_of = |arn: &Value| {
        let policy = policies.iter().find(|policy| policy["Arn"] == *arn)?;
        let versions = policy["PolicyVersionList"].as_array().unwrap();
        let current = versions.iter().find(|version| version["IsDefaultVersion"] == true).unwrap();
        Some(listed(&current["Document"]["Statement"]))
    };
    let mut limits = statements_of(&resources["Boundary"]).expect("the boundary");
    limits.iter_mut().for_each(remove_unknown_conditions);
    let document = json!({"Version": "2012-10-17", "Statement": limits}).to_string();
    let version = [("PolicyArn", boundary), ("PolicyDocument", &document), ("SetAsDefault", "true")];
    emulator.iam("CreatePolicyVersion", &version);
    let of_stack = |role: &&Value| role["RoleName"].as_str().unwrap().starts_with(STACK);
    let mut roles = Vec::new();
    for role in account["RoleDetailList"].as_array().unwrap().iter().filter(of_stack) {
        let name = role["RoleName"].as_str().unwrap();
        assert!(
            role["PermissionsBoundary"].is_null(),
            "CloudFormation sets the boundary of {name}: remove this workaround"
        );
        let mut statements = Vec::new();
        for inline in role["RolePolicyList"].as_array().unwrap() {
            statements.extend(listed(&inline["PolicyDocument"]["Statement"]));
            let policy = inline["PolicyName"].as_str().unwrap();
            emulator.iam("DeleteRolePolicy", &[("RoleName", name), ("PolicyName", policy)]);
        }
        for attached in role["AttachedManagedPolicies"].as_array().unwrap() {
            let arn = &attached["PolicyArn"];
            // AWS managed policies stay: they allow no action on data.
            let Some(attached) = statements_of(arn) else { continue };
            statements.extend(attached);
            emulator.iam("DetachRolePolicy", &[("RoleName", name), ("PolicyArn", arn.as_str().unwrap())]);
        }
        statements.iter_mut().for_each(remove_unknown_conditions);
        emulator.iam("PutRolePermissionsBoundary", &[("RoleName", name), ("PermissionsBoundary", boundary)]);
        let function = function_of(name, &resources);
        let role = Role { name: name.to_owned(), function, statements };
        role.allow_all(emulator);
        roles.push(role);
    }
    roles
}

impl Role {
    /// Returns the actions on data that the role allows.
    #[must_use]
    pub fn actions(&self) -> Vec<String> {
        let actions = self.statements.iter().filter(|statement| statement["Effect"] == "Allow");
        let actions = actions.flat_map(|statement| listed(&statement["Action"]));
        let mut actions: Vec<_> = actions.map(|action| action.as_str().unwrap().to_owned()).collect();
        // Only a stack with its own key calls KMS.
        actions.retain(|action| action.starts_with("dynamodb:") || action.starts_with("secretsmanager:"));
        actions.sort();
        actions.dedup();
        actions
    }

    /// Allows the template's actions.
    pub fn allow_all(&self, emulator: &Emulator) {
        self.put(emulator, &self.statements);
    }

    /// Allows the template's actions except one.
    pub fn allow_all_except(&self, emulator: &Emulator, action: &str) {
        let mut statements = self.statements.clone();
        for statement in statements.iter_mut().filter(|statement| statement["Effect"] == "Allow") {
            let left = listed(&statement["Action"]).into_iter().filter(|allowed| allowed != action);
            statement["Action"] = left.collect();
        }
        statements.retain(|statement| statement["Action"] != json!([]));
        self.put(emulator, &statements);
    }

    fn put(&self, emulator: &Emulator, statements: &[Value]) {
        let policy = [("RoleName", self.name.as_str()), ("PolicyName", "all")];
        if statements.is_empty() {
            return emulator.iam("DeleteRolePolicy", &policy);
        }
        let document = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
        emulator.iam("PutRolePolicy", &[&policy[..], &[("PolicyDocument", &document)]].concat());
    }
}

fn function_of(role: &str, resources: &Value) -> String {
    let (role, _) =
        resources.as_object().unwrap().iter().find(|(_, physical)| physical.as_str() == Some(role)).unwrap();
    let function = resources[role.strip_suffix("Role").unwrap()].as_str().unwrap();
    function.strip_prefix(&format!("{STACK}-")).unwrap().to_owned()
}

/// Removes conditions on unknown keys from an Allow. A Deny keeps its condition: without it, it would deny everything.
fn remove_unknown_conditions(statement: &mut Value) {
    if statement["Effect"] != "Allow" {
        return;
    }
    let Some(condition) = statement.get_mut("Condition").and_then(Value::as_object_mut) else { return };
    for keys in condition.values_mut() {
        keys.as_object_mut().unwrap().retain(|key, _| !UNKNOWN_KEYS.contains(&key.as_str()));
    }
    condition.retain(|_, keys| *keys != json!({}));
}

/// Returns whether the emulator denies a call that sets the key, although a policy allows the call if the key is set.
fn is_unknown(emulator: &Emulator, key: &str) -> bool {
    let user = key.replace(':', "-");
    emulator.iam("CreateUser", &[("UserName", &user)]);
    let statement = json!({"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"Null": {(key): "false"}}});
    let document = json!({"Version": "2012-10-17", "Statement": statement}).to_string();
    emulator.iam("PutUserPolicy", &[("UserName", &user), ("PolicyName", "all"), ("PolicyDocument", &document)]);
    let created = emulator.aws(&["iam", "create-access-key", "--user-name", &user]);
    let mut command = emulator.command("aws");
    for (variable, field) in [("AWS_ACCESS_KEY_ID", "AccessKeyId"), ("AWS_SECRET_ACCESS_KEY", "SecretAccessKey")] {
        command.env(variable, created["AccessKey"][field].as_str().unwrap());
    }
    match key.split_once(':').unwrap().0 {
        "dynamodb" => {
            let item = json!({"pk": {"S": "probe"}, "sk": {"S": "probe"}}).to_string();
            command.args(["dynamodb", "update-item", "--table-name", TABLE, "--key", &item]);
            command.args(["--update-expression", "REMOVE probe"]);
        }
        _ => {
            let version = "66666666-6666-4666-8666-666666666666";
            command.args(["secretsmanager", "get-secret-value", "--secret-id", "probe", "--version-id", version]);
        }
    }
    String::from_utf8_lossy(&command.output().unwrap().stderr).contains("AccessDenied")
}

fn listed(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(values) => values.clone(),
        value => vec![value.clone()],
    }
}
