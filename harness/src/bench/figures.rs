//! What a benchmark found: one list of figures, printed as a table for people and as JSON for scripts.

use serde_json::{Value, json};

/// One figure, and what it was compared with if it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What was measured, in words that stand alone.
    pub what: String,
    /// How much it was.
    pub value: f64,
    /// Of what: `ms`, `1/s`, `MiB`.
    pub unit: &'static str,
    /// What the same run measured of the other side.
    pub against: Option<f64>,
}

impl Figure {
    /// A figure by itself.
    pub fn new(what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { what: what.into(), value, unit, against: None }
    }

    /// The same beside what the other side did in the same run.
    #[must_use]
    pub fn against(self, other: f64) -> Self {
        Self { against: Some(other), ..self }
    }

    /// This figure over the other side's; none where there is no other, or it is zero.
    pub fn ratio(&self) -> Option<f64> {
        self.against.filter(|other| *other != 0.0).map(|other| self.value / other)
    }
}

/// All figures of one benchmark.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// The benchmark's name.
    pub name: &'static str,
    /// What `against` stands for in all of them; empty where nothing is compared.
    pub other: &'static str,
    /// The figures, in the order in which they are told.
    pub figures: Vec<Figure>,
}

impl Figures {
    /// No figures yet.
    pub fn new(name: &'static str, other: &'static str) -> Self {
        Self { name, other, figures: Vec::new() }
    }

    /// Adds one.
    pub fn push(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    /// Lines for people.
    pub fn lines(&self) -> Vec<String> {
        let width = self.figures.iter().map(|figure| figure.what.chars().count()).max().unwrap_or(0);
        let line = |figure: &Figure| {
            let Figure { what, value, unit, against } = figure;
            let compared = match (against, figure.ratio()) {
                (Some(other), Some(ratio)) => {
                    format!("   {}: {:>10} {unit}   ratio {ratio:.2}", self.other, rounded(*other))
                }
                _ => String::new(),
            };
            format!("{what:width$} {:>10} {unit}{compared}", rounded(*value))
        };
        self.figures.iter().map(line).collect()
    }

    /// The same for scripts.
    pub fn to_json(&self) -> Value {
        let one = |figure: &Figure| {
            json!({
                "what": figure.what, "value": figure.value, "unit": figure.unit, "against": figure.against,
                "ratio": figure.ratio()
            })
        };
        let figures: Vec<Value> = self.figures.iter().map(one).collect();
        json!({"bench": self.name, "against": self.other, "figures": figures})
    }
}

/// Three digits that matter.
fn rounded(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        middle if middle >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

/// The middle value, the lower one of two; 0 of none.
pub fn median(values: &[f64]) -> f64 {
    percentile(values, 50)
}

/// The nearest-rank percentile; 0 of no values.
pub fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_ours_over_theirs() {
        let figure = Figure::new("inserts", 30.0, "1/s").against(20.0);
        assert_eq!(figure.ratio(), Some(1.5));
        assert_eq!(figure.against(0.0).ratio(), None);
        assert_eq!(Figure::new("inserts", 30.0, "1/s").ratio(), None);
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!((median(&values), percentile(&values, 99), percentile(&[], 99)), (100.0, 198.0, 0.0));
    }

    #[test]
    fn the_table_and_the_json_tell_the_same() {
        let mut figures = Figures::new("ovsdb", "ovsdb-server");
        figures.push(Figure::new("inserts", 30.0, "1/s").against(20.0));
        assert_eq!(figures.lines(), ["inserts       30.0 1/s   ovsdb-server:       20.0 1/s   ratio 1.50"]);
        assert_eq!(figures.to_json()["figures"][0]["ratio"], 1.5);
    }
}
