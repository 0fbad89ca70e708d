//! Looking at what an event has touched finds what looking at everything finds: whatever the load, the faults and the seed.
#![allow(clippy::unwrap_used, reason = "a test")]

use nuage_harness::run::run_with;
use nuage_harness::scenario::Scenario;
use nuage_harness::world::sim::Tampering;
use proptest::prelude::*;

fn scenario(nodes: usize, rate: usize, at: usize, lose_rows: bool) -> Scenario {
    let text = format!(
        "title = \"t\"\nwhy = \"w\"\n[cluster]\nnodes = {nodes}\n\
         [[load]]\nkind = \"churn\"\nrate = \"{rate}/s\"\nduration = \"15s\"\nlifetime = \"1s..8s\"\n\
         [[load]]\nkind = \"deployment\"\nreplicas = 4\nupdates = 1\nupdate_after = \"4s\"\n\
         [[fault]]\nkind = \"vrs.restart\"\nat = \"{at}s\"\nfor = \"3s\"\nlose_rows = {lose_rows}\n\
         [[fault]]\nkind = \"monitor.down\"\nat = \"{at}s\"\nfor = \"2s\"\n\
         [[expect]]\nkind = \"no_leaks\"\nwithin = \"60s\"\n"
    );
    Scenario::parse("incremental.toml", &text).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_look_at_what_an_event_touched_misses_nothing_that_a_look_at_everything_finds(
        seed in any::<u32>(), nodes in 1usize..4, rate in 1usize..5, at in 1usize..15, lose_rows in any::<bool>()
    ) {
        let tampering = Tampering { recheck: true, ..Tampering::default() };
        let report = run_with(&scenario(nodes, rate, at, lose_rows), u64::from(seed), tampering).unwrap();
        // With few pods and a short fault nobody may have asked the monitor meanwhile: that is no finding of this test.
        let found: Vec<_> = report.complaints().into_iter().filter(|complaint| !complaint.ends_with("never happened")).collect();
        prop_assert!(found.is_empty(), "{found:#?}");
        prop_assert!(report.adds > 4);
    }
}
