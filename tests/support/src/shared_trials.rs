//! Trials that share a resource that is started once, such as a stack.

use std::{process::ExitCode, sync::Arc};

use libtest_mimic::{Arguments, Trial};

/// Starts the shared resource, runs the trials, and stops the resource. Listing the trials starts nothing.
pub fn run<S: Send + Sync + 'static>(
    arguments: &Arguments,
    start: impl FnOnce() -> S,
    trials: impl FnOnce(Option<&Arc<S>>) -> Vec<Trial>,
    end: impl FnOnce(S),
) -> ExitCode {
    if arguments.list {
        return libtest_mimic::run(arguments, trials(None)).exit_code();
    }
    let shared = Arc::new(start());
    let conclusion = libtest_mimic::run(arguments, trials(Some(&shared)));
    end(Arc::into_inner(shared).expect("no trial is running"));
    conclusion.exit_code()
}

/// Returns a trial that uses the shared resource. Without the resource, it can only be listed.
#[must_use]
pub fn trial<S: Send + Sync + 'static>(
    shared: Option<&Arc<S>>,
    name: String,
    test: impl FnOnce(&S) + Send + 'static,
) -> Trial {
    let shared = shared.map(Arc::clone);
    Trial::test(name, move || {
        test(shared.as_deref().expect("the shared resource is started"));
        Ok(())
    })
}
