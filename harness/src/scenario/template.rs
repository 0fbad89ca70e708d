//! A new scenario with everything that its tables can say, as comments: what `harness new` writes. It is valid as it stands.

use std::fmt::Write as _;

use super::catalogue::{Entry, Sort};
use super::key::Key;

/// How wide a line's value is before its comment.
const COLUMN: usize = 30;

/// The text of a scenario with these tables, in this order.
pub fn template(head: &Entry, cluster: &Entry, tables: &[&Entry]) -> String {
    let mut text = String::new();
    for key in &head.keys {
        line(&mut text, key, true);
    }
    text.push_str("\n[cluster]\n");
    for key in &cluster.keys {
        line(&mut text, key, false);
    }
    for entry in tables {
        // A String takes whatever is written into it.
        let _ = write!(text, "\n# {}\n{}\nkind = \"{}\"\n", entry.about, entry.sort.table(), entry.name);
        for key in &entry.keys {
            line(&mut text, key, false);
        }
    }
    if tables.iter().any(|entry| entry.sort == Sort::Fault) {
        text.push_str("\n# A fault that never strikes fails its scenario.\n");
    }
    text
}

/// A key with a value and what it is for; what can be left out is a comment.
fn line(text: &mut String, key: &Key, always: bool) {
    let comment = if key.is_needed() || always { "" } else { "# " };
    let setting = format!("{comment}{} = {}", key.name, key.sample());
    let _ = writeln!(text, "{setting:COLUMN$} # {}; {}", key.about, key.takes.describe());
}

#[cfg(test)]
mod tests {
    use super::super::Scenario;
    use super::super::catalogue::entries;
    use super::*;

    #[test]
    fn whatever_it_has_a_new_scenario_is_valid_with_its_comments_and_without() {
        let entries = entries();
        let of = |sort: Sort| entries.iter().find(|entry| entry.sort == sort).unwrap();
        let beside = entries.iter().find(|entry| entry.name == "pod").unwrap();
        for entry in &entries {
            if !matches!(entry.sort, Sort::Load | Sort::Fault | Sort::Expectation) {
                continue;
            }
            let text = template(of(Sort::Scenario), of(Sort::Cluster), &[beside, entry]);
            if let Err(error) = Scenario::parse("x.toml", &text) {
                panic!("{}: {error}\n{text}", entry.name);
            }
            let lines = text.lines().map(|line| match line.strip_prefix("# ") {
                Some(setting) if setting.split(' ').nth(1) == Some("=") => setting,
                _ => line,
            });
            let uncommented = lines.collect::<Vec<_>>().join("\n");
            if let Err(error) = Scenario::parse("x.toml", &uncommented) {
                panic!("{}: {error}\n{uncommented}", entry.name);
            }
        }
    }
}
