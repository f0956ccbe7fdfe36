//! Signed calls: AWS services that speak JSON over HTTP, called without their SDK.
//!
//! Every cold start waits for two reads. The SDK's set-up costs more than these calls: its clients parse partitions and
//! rules when they start, and run some hundred steps for each call. Signing, TLS and connections use the SDK's own
//! libraries.
//!
//! <https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html>

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, SharedHttpConnector},
    identity::Identity,
    orchestrator::{HttpRequest, HttpResponse},
};
use aws_smithy_types::{body::SdkBody, byte_stream::ByteStream};
use serde::Deserialize;
use tokio::time::{sleep, timeout};

use super::{
    canned::Canned,
    causes::{connector_cause, error_response, is_throttling, transport_cause},
    retry_budget::RetryBudget,
};

/// The form of a service's requests.
#[derive(Debug, Clone, Copy)]
pub struct Protocol {
    signing_name: &'static str,
    target_prefix: &'static str,
    content_type: &'static str,
}

impl Protocol {
    /// DynamoDB, AWS JSON 1.0.
    pub const DYNAMODB: Self = Self {
        signing_name: "dynamodb",
        target_prefix: "DynamoDB_20120810",
        content_type: "application/x-amz-json-1.0",
    };
    /// Secrets Manager, AWS JSON 1.1.
    pub const SECRETS_MANAGER: Self = Self {
        signing_name: "secretsmanager",
        target_prefix: "secretsmanager",
        content_type: "application/x-amz-json-1.1",
    };
}

#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("{}", error_response(.code, .message, *.status))]
    Refused {
        /// The exception's name, without its namespace.
        code: String,
        message: String,
        status: u16,
    },
    /// The service was unreachable, or its response was incomplete.
    #[error("{0}")]
    NoResponse(String),
    /// The text names the invalid part of the request, without its value.
    #[error("cannot sign the request: {0}")]
    Unsigned(&'static str),
}

impl CallError {
    /// Returns the exception's name, if the service returned one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            Self::NoResponse(_) | Self::Unsigned(_) => None,
        }
    }

    /// Returns whether the same call may succeed in a moment.
    fn is_transient(&self) -> bool {
        match self {
            Self::Refused { code, status, .. } => *status >= 500 || is_throttling(code),
            Self::NoResponse(_) => true,
            Self::Unsigned(_) => false,
        }
    }
}

/// Calls one service at its endpoint. It retries failed calls, so it is for reads only.
#[derive(Debug)]
pub struct SignedCalls {
    protocol: Protocol,
    endpoint: String,
    region: String,
    identity: Identity,
    connector: SharedHttpConnector,
    retries: RetryBudget,
}

impl SignedCalls {
    /// The limit of one attempt. A second attempt fits into a route's deadline.
    pub const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1500);
    /// The limit of all attempts of a call.
    pub const CALL_TIMEOUT: Duration = Duration::from_secs(3);
    /// The longest wait before the second attempt; the wait is a random part of it.
    pub const FIRST_RETRY_WITHIN: Duration = Duration::from_millis(50);
    const RETRY_WITHIN: [Duration; 2] = [Self::FIRST_RETRY_WITHIN, Duration::from_millis(100)];

    #[must_use]
    pub fn new(
        protocol: Protocol,
        endpoint: String,
        region: String,
        credentials: Credentials,
        connector: SharedHttpConnector,
    ) -> Self {
        Self { protocol, endpoint, region, identity: credentials.into(), connector, retries: RetryBudget::new() }
    }

    /// Returns the same calls without a service: each gets this response.
    pub(super) fn rehearsal(&self, response: Canned) -> Self {
        Self {
            protocol: self.protocol,
            endpoint: self.endpoint.clone(),
            region: self.region.clone(),
            identity: self.identity.clone(),
            connector: SharedHttpConnector::new(response),
            retries: RetryBudget::new(),
        }
    }

    /// Calls an operation with a JSON body and returns the body of the response. Makes up to three attempts, and fails
    /// with the error of the last one.
    pub async fn call(&self, operation: &str, body: &str) -> Result<Vec<u8>, CallError> {
        let late = |limit| move |_| Err(CallError::NoResponse(format!("no response after {limit:?}")));
        let attempts = async {
            let mut waits = Self::RETRY_WITHIN.into_iter();
            loop {
                let attempt = timeout(Self::ATTEMPT_TIMEOUT, self.attempt(operation, body));
                let error = match attempt.await.unwrap_or_else(late(Self::ATTEMPT_TIMEOUT)) {
                    Ok(body) => {
                        self.retries.refill();
                        return Ok(body);
                    }
                    Err(error) => error,
                };
                match waits.next() {
                    Some(wait) if error.is_transient() && self.retries.take() => {
                        sleep(wait.mul_f64(fastrand::f64())).await;
                    }
                    _ => return Err(error),
                }
            }
        };
        timeout(Self::CALL_TIMEOUT, attempts).await.unwrap_or_else(late(Self::CALL_TIMEOUT))
    }

    async fn attempt(&self, operation: &str, body: &str) -> Result<Vec<u8>, CallError> {
        let request = self.signed(operation, body, SystemTime::now()).map_err(CallError::Unsigned)?;
        let response =
            self.connector.call(request).await.map_err(|error| CallError::NoResponse(connector_cause(&error)))?;
        let status = response.status().as_u16();
        let body = read(response).await?;
        if status == 200 { Ok(body) } else { Err(refusal(status, &body)) }
    }

    /// Builds a signed request: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>
    fn signed(&self, operation: &str, body: &str, time: SystemTime) -> Result<HttpRequest, &'static str> {
        let target = format!("{}.{operation}", self.protocol.target_prefix);
        let headers = [("content-type", self.protocol.content_type), ("x-amz-target", target.as_str())];
        let signable = SignableRequest::new(
            "POST",
            self.endpoint.as_str(),
            headers.into_iter(),
            SignableBody::Bytes(body.as_bytes()),
        );
        let parameters = v4::SigningParams::builder()
            .identity(&self.identity)
            .region(&self.region)
            .name(self.protocol.signing_name)
            .time(time)
            .settings(SigningSettings::default())
            .build()
            .map_err(|_| "its parameters are incomplete")?
            .into();
        let signable = signable.map_err(|_| "the endpoint is not a URI")?;
        let signed = sign(signable, &parameters).map_err(|_| "its signature cannot be computed")?;

        let mut request = HttpRequest::new(SdkBody::from(body));
        request.set_method("POST").map_err(|_| "its method is invalid")?;
        request.set_uri(self.endpoint.as_str()).map_err(|_| "the endpoint is not a URI")?;
        for (name, value) in headers.into_iter().chain(signed.output().headers()) {
            let headers = request.headers_mut();
            headers.try_insert(name.to_owned(), value.to_owned()).map_err(|_| "a header is invalid")?;
        }
        Ok(request)
    }

    /// Opens a connection, so that the first call does not wait for the handshake. An unsigned `GET /` needs no
    /// permission, costs nothing and leaves no trace in CloudTrail.
    pub async fn connect(&self) -> Result<(), CallError> {
        let request = HttpRequest::get(&self.endpoint).map_err(|_| CallError::Unsigned("the endpoint is not a URI"))?;
        let response =
            self.connector.call(request).await.map_err(|error| CallError::NoResponse(connector_cause(&error)))?;
        // The connection is free for the next request when the response has been read, regardless of its content.
        read(response).await.map(drop)
    }
}

async fn read(response: HttpResponse) -> Result<Vec<u8>, CallError> {
    let body = ByteStream::new(response.into_body()).collect().await;
    // `to_vec` of this type copies byte by byte.
    Ok(Vec::from(body.map_err(|error| CallError::NoResponse(transport_cause(&error)))?.into_bytes()))
}

/// Reads an error response. Only its code and message are ever shown.
fn refusal(status: u16, body: &[u8]) -> CallError {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Refusal {
        #[serde(rename = "__type")]
        kind: String,
        #[serde(alias = "Message")]
        message: String,
    }
    let Refusal { kind, message } = serde_json::from_slice(body).unwrap_or_default();
    let code = kind.rsplit('#').next().unwrap_or_default().to_owned();
    CallError::Refused { code, message, status }
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::client::{http::HttpConnectorFuture, result::ConnectorError};

    use super::*;

    #[derive(Debug)]
    struct NoConnection;

    impl HttpConnector for NoConnection {
        fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
            HttpConnectorFuture::ready(Err(ConnectorError::user("no connection".into())))
        }
    }

    impl SignedCalls {
        /// Every call fails.
        pub fn unreachable(protocol: Protocol) -> Self {
            let credentials = Credentials::new("AKIDEXAMPLE", "key", None, None, "test");
            let (endpoint, region) = ("https://aws.example".to_owned(), "eu-central-1".to_owned());
            Self::new(protocol, endpoint, region, credentials, SharedHttpConnector::new(NoConnection))
        }
    }

    /// Returns the headers with which a request of 2026-01-02T03:04:05Z is signed.
    fn signature(protocol: Protocol, operation: &str, body: &str, token: Option<&str>) -> [Option<String>; 3] {
        let key = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let credentials = Credentials::new(key.0, key.1, token.map(str::to_owned), None, "test");
        let endpoint = format!("https://{}.eu-central-1.amazonaws.com", protocol.signing_name);
        let connector = SharedHttpConnector::new(NoConnection);
        let service = SignedCalls::new(protocol, endpoint, "eu-central-1".to_owned(), credentials, connector);
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_323_045);
        let request = service.signed(operation, body, time).unwrap();
        ["authorization", "x-amz-date", "x-amz-security-token"]
            .map(|name| request.headers().get(name).map(str::to_owned))
    }

    /// The expected signatures are botocore's.
    #[test]
    fn signature_of_fixed_request_equals_botocores() {
        let dynamodb = |token| signature(Protocol::DYNAMODB, "BatchGetItem", r#"{"RequestItems":{}}"#, token);
        let secrets = |token| signature(Protocol::SECRETS_MANAGER, "GetSecretValue", r#"{"SecretId":"é"}"#, token);
        let expected = |service: &str, token: Option<&str>, signature: &str| {
            let signed_token = if token.is_some() { "x-amz-security-token;" } else { "" };
            let authorization = format!(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/eu-central-1/{service}/aws4_request, \
                 SignedHeaders=content-type;host;x-amz-date;{signed_token}x-amz-target, Signature={signature}"
            );
            [Some(authorization), Some("20260102T030405Z".to_owned()), token.map(str::to_owned)]
        };
        let token = Some("SESSION/TOKEN+=");
        let expected_signature = "f9246747abe03b8141598637c6e213f397c43002eb3d57db3866130e2770b116";
        assert_eq!(dynamodb(None), expected("dynamodb", None, expected_signature));
        let expected_signature = "7aaf6c64c153c61906111fead0d3c4c553fb127602bd8e6a6bcdc1dce86ffc79";
        assert_eq!(dynamodb(token), expected("dynamodb", token, expected_signature));
        let expected_signature = "3ae4e4d26ec8f88e86f18d79dcaff23ed48f1749ea612cfb72a57bb0fb4b7f8c";
        assert_eq!(secrets(None), expected("secretsmanager", None, expected_signature));
        let expected_signature = "3ee5dc764053a55e45f47fb2e4777a10ebba7d2e41796803a41d4b9edb91a396";
        assert_eq!(secrets(token), expected("secretsmanager", token, expected_signature));
    }

    #[test]
    fn error_response_shows_code_and_message_only() {
        let message = |status, body: &str| refusal(status, body.as_bytes()).to_string();
        let body = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"no table","SecretString":"s"}"#;
        assert_eq!(message(400, body), "ResourceNotFoundException: no table (HTTP 400)");
        assert_eq!(message(400, r#"{"__type":"AccessDenied","Message":"no"}"#), "AccessDenied: no (HTTP 400)");
        assert_eq!(message(503, "<html>secret</html>"), "no reason given (HTTP 503)");
    }

    #[test]
    fn transient_errors_only_are_retried() {
        let refused = |status, kind: &str| refusal(status, format!(r#"{{"__type":"{kind}"}}"#).as_bytes());
        assert!(refused(400, "ThrottlingException").is_transient());
        assert!(refused(400, "a#ProvisionedThroughputExceededException").is_transient());
        assert!(refused(500, "InternalServerError").is_transient());
        assert!(CallError::NoResponse(String::new()).is_transient());
        assert!(!refused(400, "AccessDeniedException").is_transient());
        assert!(!refused(400, "ResourceNotFoundException").is_transient());
    }
}
