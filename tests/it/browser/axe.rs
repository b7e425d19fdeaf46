//! Whether people who do not see, hear or point well can use a page: the rules of axe-core, run inside it.

use serde::Deserialize;
use serde_json::json;

use super::handed;
use super::page::Page;

/// Finds what the rules object to. The file itself is no script of the page, so no policy of the page hinders it.
const SCRIPT: &str = "
    if (!window.axe) { (0, function () { SOURCE }).call(window); }
    return axe.run(document, {resultTypes: ['violations'], preload: false}).then(found => found.violations.map(violation => ({
        id: violation.id, impact: violation.impact, help: violation.help,
        nodes: violation.nodes.map(node => node.target.flat().join(' ') + ': ' + node.failureSummary)
    })));";

/// A rule that a page breaks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Violation {
    /// The rule's name, such as `color-contrast`.
    pub(crate) id: String,
    /// `minor`, `moderate`, `serious` or `critical`.
    pub(crate) impact: Option<String>,
    /// What the rule asks for.
    pub(crate) help: String,
    /// Where it is broken, and what would mend it.
    pub(crate) nodes: Vec<String>,
}

impl Page {
    /// All that axe objects to on the page as it is now.
    pub(crate) async fn axe(&self) -> Vec<Violation> {
        let source = std::fs::read_to_string(handed("SALEBRIDGE_TEST_AXE")).unwrap();
        let is_there = self.run("return Boolean(window.axe)", vec![]).await == json!(true);
        let script = SCRIPT.replace("SOURCE", if is_there { "" } else { &source });
        let found = self.run(&script, vec![]).await;
        serde_json::from_value(found).unwrap()
    }

    /// Fails if axe objects to anything that keeps people from using the page.
    pub(crate) async fn can_be_used_by_all(&self) {
        let mut found = self.axe().await;
        found.retain(|violation| violation.impact.as_deref().is_none_or(|impact| matches!(impact, "serious" | "critical")));
        assert!(found.is_empty(), "{}: {found:#?}", self.url().await);
    }
}
