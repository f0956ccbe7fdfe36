//! Trials that share something that is started once, such as a stack.

use std::sync::Arc;

use libtest_mimic::Trial;

/// A trial of what all trials share; without that it can only be listed.
#[must_use]
pub fn trial<S: Send + Sync + 'static>(
    shared: Option<&Arc<S>>,
    name: String,
    test: impl FnOnce(&S) + Send + 'static,
) -> Trial {
    let shared = shared.map(Arc::clone);
    Trial::test(name, move || {
        test(shared.as_deref().expect("a stack to test"));
        Ok(())
    })
}
