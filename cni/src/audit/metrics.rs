//! Figures in the text form of Prometheus. No label carries a name that a user chose: a thousand pods are not a thousand series.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::report::Report;

/// Upper bounds of the buckets, in seconds: calls of a plugin take from a millisecond to two minutes.
const BOUNDS: [f64; 10] = [0.005, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0, 20.0, 60.0, 120.0];
/// The commands that a call can have; a datagram with another one is none of ours.
const VERBS: [&str; 6] = ["ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"];
/// Codes above these are none of a CNI plugin's.
const LAST_CODE: u64 = 199;

/// How often what took how long.
#[derive(Clone, Debug, Default)]
struct Histogram {
    buckets: [u64; BOUNDS.len()],
    count: u64,
    sum: f64,
}

impl Histogram {
    fn observe(&mut self, seconds: f64) {
        for (bucket, bound) in self.buckets.iter_mut().zip(BOUNDS) {
            *bucket += u64::from(seconds <= bound);
        }
        self.count += 1;
        self.sum += seconds;
    }

    fn write(&self, text: &mut String, name: &str, labels: &str) {
        let comma = if labels.is_empty() { "" } else { "," };
        for (bucket, bound) in self.buckets.iter().zip(BOUNDS) {
            let _ = writeln!(text, "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {bucket}");
        }
        let _ = writeln!(text, "{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {}", self.count);
        let _ = writeln!(text, "{name}_sum{{{labels}}} {}", self.sum);
        let _ = writeln!(text, "{name}_count{{{labels}}} {}", self.count);
    }
}

/// All figures.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    passes: BTreeMap<&'static str, u64>,
    pass_seconds: Histogram,
    actions: BTreeMap<(&'static str, &'static str, &'static str), u64>,
    attachments: BTreeMap<&'static str, usize>,
    foreign: [usize; 3],
    waiting: usize,
    doubts: usize,
    tripped: bool,
    reconnects: u64,
    connected: bool,
    calls: BTreeMap<(&'static str, u64), u64>,
    call_seconds: BTreeMap<&'static str, Histogram>,
}

impl Metrics {
    /// A pass has ended.
    pub fn passed(&mut self, report: &Report) {
        *self.passes.entry("done").or_default() += 1;
        self.pass_seconds.observe(report.took.as_secs_f64());
        for action in &report.actions {
            let key = (action.kind.name(), action.reason, action.outcome.name());
            *self.actions.entry(key).or_default() += 1;
        }
        self.attachments = report.states();
        self.foreign = [report.foreign.entities, report.foreign.nuage_ports, report.foreign.switch_ports];
        self.waiting = report.waiting;
        self.doubts = report.doubts.len();
        self.tripped = report.tripped.is_some();
    }

    /// A pass could not observe something.
    pub fn failed(&mut self) {
        *self.passes.entry("failed").or_default() += 1;
    }

    /// The connection to the switch stands, or does not.
    pub fn connection(&mut self, stands: bool) {
        self.reconnects += u64::from(stands && !self.connected);
        self.connected = stands;
    }

    /// A call of the plugin says what it was and how long it took. What is odd about it is ignored: anybody with root's rights
    /// may have sent it.
    pub fn called(&mut self, datagram: &[u8]) {
        let Ok(said) = serde_json::from_slice::<serde_json::Value>(datagram) else { return };
        let Some(verb) = VERBS.iter().find(|verb| said["verb"] == **verb) else { return };
        let (Some(code), Some(seconds)) = (said["code"].as_u64(), said["seconds"].as_f64()) else { return };
        if code > LAST_CODE || !(0.0..=Duration::from_hours(1).as_secs_f64()).contains(&seconds) {
            return;
        }
        *self.calls.entry((verb, code)).or_default() += 1;
        self.call_seconds.entry(verb).or_default().observe(seconds);
    }

    /// The text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let head = |text: &mut String, name: &str, kind: &str, help: &str| {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        };
        head(&mut text, "nuage_audit_passes_total", "counter", "Passes by result.");
        for (result, count) in &self.passes {
            let _ = writeln!(text, "nuage_audit_passes_total{{result=\"{result}\"}} {count}");
        }
        head(&mut text, "nuage_audit_pass_seconds", "histogram", "How long a pass took.");
        self.pass_seconds.write(&mut text, "nuage_audit_pass_seconds", "");
        head(
            &mut text,
            "nuage_audit_actions_total",
            "counter",
            "What was done to attachments, why, and what became of it.",
        );
        for ((action, reason, result), count) in &self.actions {
            let labels = format!("action=\"{action}\",reason=\"{reason}\",result=\"{result}\"");
            let _ = writeln!(text, "nuage_audit_actions_total{{{labels}}} {count}");
        }
        head(&mut text, "nuage_audit_attachments", "gauge", "Attachments of this node by verdict.");
        for (state, count) in &self.attachments {
            let _ = writeln!(text, "nuage_audit_attachments{{state=\"{state}\"}} {count}");
        }
        head(&mut text, "nuage_audit_foreign_rows", "gauge", "Rows of others on the switch; never touched.");
        for (table, count) in ["Nuage_VM_Table", "Nuage_Port_Table", "Port"].iter().zip(self.foreign) {
            let _ = writeln!(text, "nuage_audit_foreign_rows{{table=\"{table}\"}} {count}");
        }
        let gauges = [
            ("nuage_audit_waiting", self.waiting, "Attachments that seem to be leaked and are not due."),
            ("nuage_audit_doubts", self.doubts, "Reasons why less was done than could have been."),
            ("nuage_audit_tripped", usize::from(self.tripped), "Whether a person has to confirm deletions."),
            (
                "nuage_audit_switch_connected",
                usize::from(self.connected),
                "Whether the switch can be reached.",
            ),
        ];
        for (name, value, help) in gauges {
            head(&mut text, name, "gauge", help);
            let _ = writeln!(text, "{name} {value}");
        }
        head(
            &mut text,
            "nuage_audit_switch_connects_total",
            "counter",
            "How often the switch was connected to.",
        );
        let _ = writeln!(text, "nuage_audit_switch_connects_total {}", self.reconnects);
        head(
            &mut text,
            "nuage_cni_calls_total",
            "counter",
            "Calls of the plugin by command and code; 0 is success.",
        );
        for ((verb, code), count) in &self.calls {
            let _ = writeln!(text, "nuage_cni_calls_total{{verb=\"{verb}\",code=\"{code}\"}} {count}");
        }
        head(&mut text, "nuage_cni_call_seconds", "histogram", "How long calls of the plugin took.");
        for (verb, histogram) in &self.call_seconds {
            histogram.write(&mut text, "nuage_cni_call_seconds", &format!("verb=\"{verb}\""));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_counted_by_command_and_code_and_what_is_odd_is_not() {
        let mut metrics = Metrics::default();
        let odd: [&[u8]; 6] = [
            b"",
            b"{",
            br#"{"verb":"EVIL","code":0,"seconds":1}"#,
            br#"{"verb":"ADD","code":100000,"seconds":1}"#,
            br#"{"verb":"ADD","code":0,"seconds":-1}"#,
            br#"{"verb":"ADD","code":0}"#,
        ];
        for datagram in odd {
            metrics.called(datagram);
        }
        assert!(!metrics.text().contains("nuage_cni_calls_total{"));
        metrics.called(br#"{"format":1,"verb":"ADD","code":11,"seconds":0.03,"phases":{}}"#);
        let text = metrics.text();
        assert!(text.contains("nuage_cni_calls_total{verb=\"ADD\",code=\"11\"} 1"), "{text}");
        assert!(text.contains("nuage_cni_call_seconds_bucket{verb=\"ADD\",le=\"0.05\"} 1"), "{text}");
        assert!(text.contains("nuage_cni_call_seconds_bucket{verb=\"ADD\",le=\"0.02\"} 0"), "{text}");
    }

    #[test]
    fn every_line_is_a_comment_or_a_sample() {
        let mut metrics = Metrics::default();
        metrics.passed(&Report::default());
        metrics.failed();
        metrics.connection(true);
        metrics.called(br#"{"verb":"DEL","code":0,"seconds":0.03}"#);
        for line in metrics.text().lines() {
            let sample = line
                .rsplit_once(' ')
                .is_some_and(|(name, value)| name.starts_with("nuage_") && value.parse::<f64>().is_ok());
            assert!(line.starts_with("# ") || sample, "{line}");
        }
    }
}
