//! The causes of failed AWS calls, as text for logs and the operator.
//!
//! An error of the SDK may print the request that it could not send, and the request may hold a secret. So no error is
//! printed unless its kind is known to be safe: an AWS error response, a failed transport, or missing credentials.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::result::ConnectorError;

/// Describes why a call by the SDK failed.
pub fn sdk_cause<E: Error + ProvideErrorMetadata + 'static>(error: &SdkError<E>) -> String {
    match error {
        SdkError::ServiceError(refusal) => {
            let (error, status) = (refusal.err(), refusal.raw().status().as_u16());
            error_response(error.code().unwrap_or_default(), error.message().unwrap_or_default(), status)
        }
        SdkError::ResponseError(unread) => {
            format!("the AWS response cannot be read (HTTP {})", unread.raw().status().as_u16())
        }
        SdkError::TimeoutError(_) => transport_cause(error),
        SdkError::DispatchFailure(failure) => {
            failure.as_connector_error().map_or_else(|| "the request was not sent".to_owned(), connector_cause)
        }
        SdkError::ConstructionFailure(_) => "the request could not be built".to_owned(),
        _ => "the call failed for an unknown reason".to_owned(),
    }
}

/// Returns whether the code of an error response means that the service throttles.
pub fn is_throttling(code: &str) -> bool {
    const NAMES: [&str; 5] = [
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
    ];
    NAMES.contains(&code)
}

/// Describes an AWS error response.
pub fn error_response(code: &str, message: &str, status: u16) -> String {
    let code = if code.is_empty() { "no reason given" } else { code };
    if message.is_empty() { format!("{code} (HTTP {status})") } else { format!("{code}: {message} (HTTP {status})") }
}

/// Describes why a request did not reach its service, or the response did not arrive.
pub fn connector_cause(error: &ConnectorError) -> String {
    if error.is_io() || error.is_timeout() {
        return transport_cause(error);
    }
    if let Some(error) = find::<CredentialsError>(error) {
        return transport_cause(error);
    }
    let kind = if error.is_user() {
        "the HTTP request is invalid"
    } else {
        "the request could not be prepared: check the endpoint"
    };
    kind.to_owned()
}

/// Finds an error of that type among an error and its causes.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    std::iter::successors(Some(error), |&error| error.source()).find_map(|error| error.downcast_ref())
}

/// Joins the texts of a transport error and its causes, outermost first. Stops at a connector error of another kind,
/// because it may show the request.
pub fn transport_cause(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        if cause.downcast_ref::<ConnectorError>().is_some_and(|error| !error.is_io() && !error.is_timeout()) {
            break;
        }
        let part = cause.to_string();
        next = cause.source();
        // Some errors already include the text of their cause.
        if !parts.last().is_some_and(|before| before.contains(&part)) {
            parts.push(part);
        }
    }
    parts.join(": ")
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::operation::get_item::GetItemError;
    use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
    use aws_smithy_types::{body::SdkBody, error::ErrorMetadata};

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<Layer>>);

    fn response() -> HttpResponse {
        HttpResponse::new(400.try_into().unwrap(), SdkBody::from("SECRET"))
    }

    fn cause(error: &SdkError<GetItemError>) -> String {
        sdk_cause(error)
    }

    #[test]
    fn transport_cause_names_each_cause_once() {
        let error = Layer("outer", Some(Box::new(Layer("middle", Some(Box::new(Layer("mid", None)))))));
        assert_eq!(transport_cause(&error), "outer: middle");
        let error = Layer("outer", Some(Box::new(Layer("inner", None))));
        assert_eq!(transport_cause(&error), "outer: inner");
    }

    #[test]
    fn sdk_cause_shows_error_response_and_status() {
        let metadata = ErrorMetadata::builder().code("AccessDenied").message("no").build();
        let error = SdkError::service_error(GetItemError::generic(metadata), response());
        assert_eq!(cause(&error), "AccessDenied: no (HTTP 400)");
        let error = SdkError::service_error(GetItemError::generic(ErrorMetadata::builder().build()), response());
        assert_eq!(cause(&error), "no reason given (HTTP 400)");
    }

    #[test]
    fn sdk_cause_shows_transport_and_credentials_errors() {
        let error = SdkError::dispatch_failure(ConnectorError::io("connection refused".into()));
        assert_eq!(cause(&error), "io error: connection refused");
        let error = SdkError::timeout_error("no response after 1.5s");
        assert_eq!(cause(&error), "request has timed out: no response after 1.5s");
        let missing = CredentialsError::not_loaded("no providers in chain provided credentials");
        let error = SdkError::dispatch_failure(ConnectorError::other(missing.into(), None));
        assert!(cause(&error).ends_with("no providers in chain provided credentials"), "{}", cause(&error));
    }

    #[test]
    fn sdk_cause_shows_no_text_of_other_errors() {
        let request = || "failed to apply endpoint to request SECRET";
        let expected = [
            (SdkError::construction_failure(request()), "the request could not be built"),
            (SdkError::response_error(request(), response()), "the AWS response cannot be read (HTTP 400)"),
            (SdkError::dispatch_failure(ConnectorError::user(request().into())), "the HTTP request is invalid"),
            (
                SdkError::dispatch_failure(ConnectorError::other(request().into(), None)),
                "the request could not be prepared: check the endpoint",
            ),
            // The credentials come from a service, whose own call failed like this.
            (
                SdkError::dispatch_failure(ConnectorError::other(
                    CredentialsError::provider_error(ConnectorError::other(request().into(), None)).into(),
                    None,
                )),
                "an error occurred while loading credentials",
            ),
        ];
        for (error, expected) in expected {
            assert_eq!(cause(&error), expected);
        }
    }
}
