//! Bodies of Stripe's checkout.session.completed that differ as real ones do: ids, names, addresses, amounts, currencies, metadata.
//!
//! All chance comes from a seed, so that a run can be made again. People, towns and shops are made up of syllables.

/// A finished purchase as Stripe words it, with places between @ and @.
const TEMPLATE: &str = include_str!("checkout.json");
const SYLLABLES: [&str; 24] = [
    "ba", "den", "cor", "li", "mon", "ta", "ver", "sha", "ko", "ri", "el", "nor", "pau", "gre", "sim", "wil", "jo", "han", "mar",
    "que", "fi", "zo", "lund", "stein",
];
/// Currency, country, language, and whether addresses there name a state.
const COUNTRIES: [(&str, &str, &str, bool); 8] = [
    ("usd", "US", "en", true),
    ("usd", "US", "auto", true),
    ("eur", "DE", "de", false),
    ("eur", "FR", "fr", false),
    ("gbp", "GB", "en-GB", false),
    ("cad", "CA", "auto", true),
    ("jpy", "JP", "ja", false),
    ("sek", "SE", "sv", false),
];
const CAMPAIGNS: [&str; 5] = ["spring", "newsletter-42", "partners", "black-friday-early-birds", "retargeting_lookalike_2"];

/// Chance that is the same for the same seed (splitmix64).
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    /// From 0 to below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap_or(0)]
    }

    /// So many letters and digits, as in Stripe's ids.
    fn letters(&mut self, count: usize) -> String {
        const ALL: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let mut text = String::with_capacity(count);
        while text.len() < count {
            let mut value = self.next();
            for _ in 0..10.min(count - text.len()) {
                text.push(char::from(ALL[usize::try_from(value % 62).unwrap_or(0)]));
                value /= 62;
            }
        }
        text
    }

    /// A made-up word of some syllables, with a capital.
    fn word(&mut self) -> String {
        let mut word = String::new();
        for _ in 0..2 + self.below(3) {
            word.push_str(self.one_of(&SYLLABLES));
        }
        word[..1].make_ascii_uppercase();
        word
    }
}

/// Writes bodies; made once, because it takes the template apart.
pub(crate) struct Writer {
    chance: Chance,
    /// Text, and the place that follows it.
    parts: Vec<(&'static str, &'static str)>,
}

impl Writer {
    pub(crate) fn new(seed: u64) -> Self {
        let mut pieces = TEMPLATE.trim_end().split('@');
        let mut parts = Vec::new();
        while let Some(text) = pieces.next() {
            parts.push((text, pieces.next().unwrap_or("")));
        }
        Self { chance: Chance::new(seed), parts }
    }

    /// The next purchase, at this time (seconds since 1970), with the number by which it is known again wherever it is forwarded.
    pub(crate) fn next(&mut self, now: i64) -> (u64, String) {
        let token = self.chance.next();
        let (now, purchase) = (now.to_string(), Purchase::new(&mut self.chance));
        let mut body = String::with_capacity(4096);
        for (text, place) in &self.parts {
            body.push_str(text);
            match *place {
                "" => {}
                "NOW" => body.push_str(&now),
                "TOKEN" => body.push_str(&format!("{token:016x}")),
                "ID" | "PAYMENT" => body.push_str(&format!("1Q{}", self.chance.letters(22))),
                "SESSION" => body.push_str(&self.chance.letters(56)),
                "CUSTOMER" => body.push_str(&self.chance.letters(14)),
                "ORDER" => body.push_str(&self.chance.below(100_000_000).to_string()),
                "CLICK" => body.push_str(&format!("{:08x}-{:016x}", self.chance.next() >> 32, self.chance.next())),
                place => body.push_str(purchase.text(place)),
            }
        }
        (token, body)
    }
}

/// How large they are, in words; fails where one is no JSON or its sums are wrong.
pub(crate) fn sizes(seed: u64) -> Result<String, crate::Failure> {
    let mut writer = Writer::new(seed);
    let mut sizes = Vec::new();
    for _ in 0..1_000 {
        let (token, body) = writer.next(1_700_000_000);
        let value: serde_json::Value =
            serde_json::from_str(&body).map_err(|error| format!("a body is no JSON: {error}: {body}"))?;
        let session = &value["data"]["object"];
        let number = |value: &serde_json::Value| value.as_i64().unwrap_or(i64::MIN / 8);
        let details = &session["total_details"];
        let (tax, shipping, discount) =
            (number(&details["amount_tax"]), number(&details["amount_shipping"]), number(&details["amount_discount"]));
        let sum = number(&session["amount_subtotal"]) + tax + shipping - discount;
        if sum != number(&session["amount_total"]) || session["metadata"]["customerExternalId"] != format!("user_{token:016x}") {
            return Err(format!("a body does not agree with itself: {body}").into());
        }
        sizes.push(body.len());
    }
    sizes.sort_unstable();
    Ok(format!("Bodies have {} to {} bytes, half of them less than {}", sizes[0], sizes[999], sizes[500]))
}

/// What belongs together within one body: places and what they hold.
struct Purchase(Vec<(&'static str, String)>);

impl Purchase {
    fn new(chance: &mut Chance) -> Self {
        let (currency, country, language, has_state) = chance.one_of(&COUNTRIES);
        let subtotal = 300 + chance.below(30_000);
        let tax = if chance.below(3) == 0 { 0 } else { subtotal / 5 };
        let (shipping, discount) =
            (if chance.below(4) == 0 { 490 } else { 0 }, if chance.below(5) == 0 { subtotal / 10 } else { 0 });
        let (first, last, town, shop) = (chance.word(), chance.word(), chance.word(), chance.word().to_lowercase());
        let (postal, line) = (format!("{:05}", chance.below(100_000)), format!("{} {}", 1 + chance.below(240), chance.word()));
        let state =
            if has_state { format!("\"{}\"", chance.one_of(&["OR", "CA", "NY", "ON", "QC", "TX"])) } else { "null".to_owned() };
        let address = format!(
            "{{\n     \"address\": {{\n      \"city\": \"{town}\",\n      \"country\": \"{country}\",\n      \"line1\": \"{line}\",\n      \
             \"line2\": null,\n      \"postal_code\": \"{postal}\",\n      \"state\": {state}\n     }},\n     \"name\": \"{first} {last}\"\n    }}"
        );
        let mut extra = String::new();
        for _ in 0..chance.below(4) {
            let (key, value) = (chance.word().to_lowercase(), chance.one_of(&CAMPAIGNS));
            extra.push_str(&format!("    \"utm_{key}\": \"{value}-{}\",\n", chance.below(1_000)));
        }
        let field = format!(
            "[\n    {{\n     \"key\": \"{}\",\n     \"label\": {{\n      \"custom\": \"{} {}\",\n      \"type\": \"custom\"\n     }},\n     \
             \"optional\": true,\n     \"text\": {{\n      \"value\": \"{}\"\n     }},\n     \"type\": \"text\"\n    }}\n   ]",
            chance.word().to_lowercase(),
            chance.word(),
            chance.word(),
            chance.word()
        );
        let phone = format!("\"+1555{:07}\"", chance.below(10_000_000));
        let coupon = format!(
            "[\n    {{\n     \"coupon\": null,\n     \"promotion_code\": \"promo_1Q{}\"\n    }}\n   ]",
            chance.letters(22)
        );
        let mail = format!("{}.{}{}@example.{}", first, last, chance.below(100), chance.one_of(&["com", "org", "net"]));
        let methods = chance.one_of(&["[\n    \"card\"\n   ]", "[\n    \"card\",\n    \"link\",\n    \"klarna\"\n   ]"]);
        let or = |yes: bool, text: String, no: &str| if yes { text } else { no.to_owned() };
        Self(vec![
            ("SUBTOTAL", subtotal.to_string()),
            ("TOTAL", (subtotal + tax + shipping - discount).to_string()),
            ("TAX", tax.to_string()),
            ("SHIPPING", shipping.to_string()),
            ("DISCOUNT", discount.to_string()),
            ("CURRENCY", currency.to_owned()),
            ("COUNTRY", country.to_owned()),
            ("LOCALE", language.to_owned()),
            ("CITY", town),
            ("LINE1", line),
            ("POSTAL", postal),
            ("STATE", state),
            ("NAME", format!("{first} {last}")),
            ("EMAIL", mail.to_lowercase()),
            ("HOST", format!("{shop}.example.com")),
            ("PHONE", or(chance.below(3) == 0, phone, "null")),
            ("SHIPPING_DETAILS", or(shipping > 0, address, "null")),
            ("DISCOUNTS", or(discount > 0, coupon, "[]")),
            ("FIELDS", or(chance.below(6) == 0, field, "[]")),
            ("METHODS", methods.to_owned()),
            ("EXTRA", extra),
        ])
    }

    fn text(&self, place: &str) -> &str {
        let found = self.0.iter().find(|(name, _)| *name == place);
        found.map(|(_, text)| text.as_str()).expect("each place of the template has its text")
    }
}
