use std::error::Error;

/// An error with all its causes, outermost first, as their `Display` has them.
/// Never their `Debug`: the SDK's would show whole answers, and with them secrets.
pub fn causes(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        let part = cause.to_string();
        next = cause.source();
        // Some errors already say what their cause says.
        if !parts.last().is_some_and(|before| before.contains(&part)) {
            parts.push(part);
        }
    }
    parts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<Layer>>);

    #[test]
    fn all_causes_are_named_once() {
        let error = Layer("outer", Some(Box::new(Layer("middle", Some(Box::new(Layer("mid", None)))))));
        assert_eq!(causes(&error), "outer: middle");
        let error = Layer("outer", Some(Box::new(Layer("inner", None))));
        assert_eq!(causes(&error), "outer: inner");
    }
}
