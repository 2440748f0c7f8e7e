//! `BENCHMARKS.md`: a heading a part, so that one part can be measured again without the others.

use std::fmt::Write as _;
use std::path::Path;
use std::{fs, io};

use anyhow::Result;

use crate::machine::Usage;
use crate::stats::Series;

const INTRODUCTION: &str = "# Benchmarks

Written by `cargo xtask bench`, which measures the release binary and the stripped components on the machine that it runs
on. Server and client share its cores. Figures are medians, with the least and the most of all runs in parentheses.
`cargo xtask bench PART...` measures only some parts again; each says when that was and what else was busy meanwhile.
";

/// What one part found.
pub struct Section {
    pub title: &'static str,
    body: String,
}

impl Section {
    pub fn new(title: &'static str) -> Self {
        Self { title, body: String::new() }
    }

    pub fn text(&mut self, text: &str) {
        self.body += text;
        self.body += "\n\n";
    }

    /// A table; its first column is text, the others are numbers.
    pub fn table(&mut self, table: Table) {
        self.text(table.0.trim_end());
    }

    fn shown(&self) -> String {
        format!("## {}\n\n{}\n", self.title, self.body.trim_end())
    }
}

/// A table in Markdown.
pub struct Table(String);

impl Table {
    pub fn new(columns: &[&str]) -> Self {
        let mut rule: Vec<&str> = vec!["---:"; columns.len()];
        if let Some(first) = rule.first_mut() {
            *first = "---";
        }
        Self(format!("| {} |\n| {} |\n", columns.join(" | "), rule.join(" | ")))
    }

    pub fn row(&mut self, cells: &[&str]) {
        // Writing to a string can't fail.
        let _ = writeln!(self.0, "| {} |", cells.join(" | "));
    }
}

/// Who was busy during several measurements.
#[derive(Default)]
pub struct Busy {
    server: Series,
    client: Series,
    others: Series,
}

impl Busy {
    pub fn add(&mut self, usage: Usage) {
        self.server.add(usage.server);
        self.client.add(usage.client);
        self.others.add(usage.others);
    }

    /// Medians.
    pub fn shown(&self) -> String {
        let [server, client, others] = [&self.server, &self.client, &self.others].map(Series::median);
        format!("cores in use meanwhile: server {server:.2}, client {client:.2}, everything else {others:.2}")
    }

    /// The server's part.
    pub fn server(&self) -> f64 {
        self.server.median()
    }

    /// For a table.
    pub fn cell(&self) -> String {
        let [server, client, others] = [&self.server, &self.client, &self.others].map(Series::median);
        format!("{server:.2} / {client:.2} / {others:.2}")
    }
}

/// Writes these sections in place of older ones with the same titles.
pub fn write(path: &Path, order: &[&str], new: &[Section]) -> Result<()> {
    let old = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        text => text?,
    };
    fs::write(path, merged(&old, order, new))?;
    Ok(())
}

fn merged(old: &str, order: &[&str], new: &[Section]) -> String {
    let old: Vec<(&str, &str)> = old.split("\n## ").skip(1).filter_map(|part| part.split_once('\n')).collect();
    let mut out = INTRODUCTION.to_owned();
    for title in order {
        let kept =
            || old.iter().find(|(name, _)| name == title).map(|(_, body)| format!("## {title}\n{}\n", body.trim_end()));
        if let Some(text) = new.iter().find(|section| section.title == *title).map(Section::shown).or_else(kept) {
            out += "\n";
            out += &text;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(title: &'static str, text: &str) -> Section {
        let mut section = Section::new(title);
        section.text(text);
        section
    }

    #[test]
    fn a_part_is_replaced_and_the_others_stay() {
        let order = ["One", "Two", "Three"];
        let first = merged("", &order, &[section("Three", "3"), section("One", "1")]);
        assert_eq!(first, format!("{INTRODUCTION}\n## One\n\n1\n\n## Three\n\n3\n"));
        let second = merged(&first, &order, &[section("Two", "2"), section("One", "new")]);
        assert_eq!(second, format!("{INTRODUCTION}\n## One\n\nnew\n\n## Two\n\n2\n\n## Three\n\n3\n"));
        assert_eq!(merged(&second, &order, &[]), second);
    }

    #[test]
    fn numbers_stand_on_the_right() {
        let mut table = Table::new(&["what", "per second"]);
        table.row(&["get", "5"]);
        assert_eq!(table.0, "| what | per second |\n| --- | ---: |\n| get | 5 |\n");
    }
}
