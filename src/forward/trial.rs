//! One marked test sale, to see with one's own eyes what an upstream makes of it.

use super::judge::Judgement;
use super::render::RenderError;
use super::template::{AmountUnit, Transport};
use super::upstream::Upstream;
use crate::domain::{AttemptOutcome, Currency, EventName, Mode, Money, Outgoing, SaleEvent, Timestamp};
use crate::outbound::{Answer, Client, Failure};

/// What may be chosen of a test sale.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// A click that the upstream knows.
    pub click_id: Option<String>,
    /// A customer that the upstream knows.
    pub customer_external_id: Option<String>,
    /// The currency, where it is not the upstream's only one, or US dollars.
    pub currency: Option<Currency>,
}

/// A test sale that was made up, and the request that tells of it.
#[derive(Debug, Clone)]
pub struct Trial {
    /// The sale.
    pub sale: SaleEvent,
    /// The request, without secrets.
    pub request: String,
    outgoing: Outgoing,
    at: Timestamp,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The answer, without secrets, where there was one.
    pub answer: Option<Answer>,
    /// What it means.
    pub judgement: Judgement,
}

impl Trial {
    /// Makes a sale up. Its amount has digits that tell every unit from every other.
    ///
    /// # Errors
    /// It cannot be told to this upstream as it is.
    pub fn new(upstream: &Upstream, sample: Sample, now: Timestamp) -> Result<Self, RenderError> {
        let only = upstream.filter.currencies.first().or(upstream.template.amount.currencies.first()).copied();
        let currency = sample.currency.or(only).or_else(|| Currency::from_code("USD"));
        let currency = currency.expect("the dollar is a currency");
        // 12.34 dollars, 1234 yen, 12.340 dinars.
        let minor = if currency.exponent() > 2 { 1234 * 10_i64.pow(u32::from(currency.exponent()) - 2) } else { 1234 };
        let sale = SaleEvent {
            event: EventName::PaymentCaptured,
            customer_external_id: Some(sample.customer_external_id.unwrap_or_else(|| "salebridge-test".to_owned())),
            money: Money { minor, currency },
            click_id: sample.click_id,
            invoice_id: Some(format!("salebridge-test-{}", now.as_second())),
            timestamp: now,
            email: Some("salebridge-test@example.com".to_owned()),
            name: Some("Salebridge Test".to_owned()),
        };
        let (source, mode) = ("salebridge-test".to_owned(), Mode::Test);
        let outgoing = Outgoing { sale: sale.clone(), source, mode, is_renewal: false, adjustment: None, upstream_id: None };
        let request = upstream.render(&outgoing, now)?.shown(upstream);
        Ok(Self { sale, request, outgoing, at: now })
    }

    /// Sends it.
    ///
    /// # Errors
    /// It could not be sent, or was not answered: the reason in words.
    pub async fn send(&self, upstream: &Upstream) -> Result<Verdict, String> {
        if upstream.template.upstream.transport == Transport::Log {
            let advice = "nothing is sent by the log: a running bridge writes such a line".to_owned();
            let judgement = Judgement { outcome: AttemptOutcome::Delivered, advice, upstream_id: None };
            return Ok(Verdict { answer: None, judgement });
        }
        let rendered = upstream.render(&self.outgoing, self.at).map_err(|error| error.to_string())?;
        let client = Client::new(upstream.limits())?;
        let answer = client.ask(rendered.into_request()).await.map_err(|failure| match failure {
            Failure::Unsent(why) => format!("it was not sent: {why}"),
            Failure::Unanswered(why) => format!("it was sent, but not answered ({why}); it may or may not have been accepted"),
        })?;
        let judgement = upstream.template.judge(&answer, false);
        Ok(Verdict { answer: Some(Answer { body: upstream.keepable(&answer.body), ..answer }), judgement })
    }

    /// What to look for in the vendor's dashboard, in words.
    pub fn compare(&self, upstream: &Upstream) -> String {
        let sale = &self.sale;
        let (title, invoice) = (&upstream.template.upstream.title, sale.invoice_id.as_deref().unwrap_or_default());
        let mut text = format!(
            "now compare: look at {title} for the test sale ({invoice}, customer {}). It must say {}.",
            sale.customer_external_id.as_deref().unwrap_or_default(),
            sale.money
        );
        for (other, reading) in self.readings(upstream) {
            text.push_str(&format!(" If it says {reading}, set amount_unit = \"{}\".", other.as_str()));
        }
        format!("{text} Compare {}. Then delete the test sale there.", upstream.template.upstream.compare)
    }

    /// The amount as it would read in the dashboard if the upstream meant another unit; for each unit that the template knows of.
    pub fn readings(&self, upstream: &Upstream) -> Vec<(AmountUnit, String)> {
        let money = self.sale.money;
        let others = upstream.template.amount.units.iter().copied().filter(|unit| *unit != upstream.amount_unit);
        others.filter_map(|unit| Some((unit, misread(money, upstream.amount_unit, unit)?))).collect()
    }
}

/// What an amount that is written in one unit reads as in another; `None` where the two are the same for its currency.
fn misread(money: Money, written: AmountUnit, read: AmountUnit) -> Option<String> {
    let places = |unit| match unit {
        AmountUnit::Major => 0,
        AmountUnit::Minor => money.currency.exponent(),
        AmountUnit::Hundredths => 2,
    };
    let (written, read) = (places(written), places(read));
    let shown = |minor: i128| format!("{} {}", money.currency.major(minor), money.currency.code());
    let minor = i128::from(money.minor);
    match written.cmp(&read) {
        std::cmp::Ordering::Equal => None,
        // Hundreds become ones: the last digits are lost in most dashboards.
        std::cmp::Ordering::Less => Some(format!("about {}", shown(minor / 10_i128.pow(u32::from(read - written))))),
        std::cmp::Ordering::Greater => Some(shown(minor * 10_i128.pow(u32::from(written - read)))),
    }
}
