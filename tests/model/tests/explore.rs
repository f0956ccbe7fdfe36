use std::time::Instant;

use rotation_model::{Role, RotationModel};
use stateright::{Checker, Model, HasDiscoveries};

#[test]
fn explore() {
    let post = |has_key| Role::Post { has_key, overlap: 1 };
    let rot = Role::Rotate{overlap: 2};
    for mutation in std::iter::once(None).chain(rotation_model::mutation::ALL.map(Some)) {
    for (name, roles, hours, has_quota) in [
        ("writers", vec![post(true), post(true), post(false), Role::Get], 0, false),
        ("operator", vec![post(true), rot, Role::EndOverlap, Role::Get], 1, false),
        ("labels", vec![post(false), post(false), rot], 1, true),
        ("doctor", vec![post(false), rot, Role::Doctor], 2, false),
    ] {
        let start = Instant::now();
        let model = RotationModel { roles, hours, has_quota, mutation };
        let b = model.checker().threads(2);
        let b = if mutation.is_some() { b.finish_when(HasDiscoveries::AnyFailures) } else {b};
        let checker = b.spawn_bfs().join();
        eprintln!("{mutation:?} {name}: {} states, {} unique, depth {}, {:?}", checker.state_count(), checker.unique_state_count(), checker.max_depth(), start.elapsed());
        for (name, path) in checker.discoveries() {
            if rotation_model::properties::invariants().contains(&name) {
                let last = *path.last_state();
                if mutation.is_none() {
                eprintln!("BROKEN {name}: {:?}\n {last:?}", path.into_actions());
                } else {
                eprintln!("   BROKEN {name}: {} steps", path.into_actions().len());
                }
            } else if mutation.is_none() {
                eprintln!("example: {name}");
            }
        }
    }
    }
}
