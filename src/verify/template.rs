//! What is signed, as a template: literal text and tokens, of which the request and the secrets give the values.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::fields::Fields;
use super::input::View;
use super::refusal::Refusal;
use super::token::{Token, What};
use crate::domain::{Secret, Timestamp};

/// A compiled template.
#[derive(Debug, Clone)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Debug, Clone)]
enum Piece {
    Literal(String),
    Token(Token),
    /// Left out whole where one of its tokens is empty or missing.
    Vanishing(Vec<Piece>),
}

/// The values that do not stand in the request.
#[derive(Clone, Copy)]
pub(super) struct Values<'a> {
    pub(super) named: &'a BTreeMap<String, Secret>,
    pub(super) secret: Option<&'a Secret>,
    pub(super) timestamp: Option<&'a str>,
    pub(super) fields: Option<&'a Fields>,
    pub(super) salt: Option<&'a str>,
    pub(super) now: Option<Timestamp>,
    pub(super) hmac: Option<&'a str>,
}

impl Template {
    /// Takes `{timestamp}.{body}` apart.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text;
        let pieces = pieces(&mut rest, false)?;
        Ok(Self(pieces))
    }

    /// The tokens, those of vanishing parts included.
    pub(super) fn tokens(&self) -> Vec<&Token> {
        let mut found = Vec::new();
        collect(&self.0, &mut found);
        found
    }

    /// The tokens without which the template cannot be written: neither inside vanishing parts nor allowed to be missing.
    pub(super) fn firm_tokens(&self) -> impl Iterator<Item = &Token> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Token(token) if !token.may_be_missing => Some(token),
            Piece::Token(_) | Piece::Literal(_) | Piece::Vanishing(_) => None,
        })
    }

    /// True where this header stands alone, between literal text or the ends, so that nothing of it can be moved to a neighbour.
    pub(super) fn isolates_header(&self, name: &str) -> bool {
        let is_literal = |piece: Option<&Piece>| piece.is_none_or(|piece| matches!(piece, Piece::Literal(_)));
        self.0.iter().enumerate().any(|(index, piece)| match piece {
            Piece::Token(Token { what: What::Header(known), may_be_missing: false, filter: None }) => {
                let before = if index == 0 { None } else { self.0.get(index - 1) };
                known.eq_ignore_ascii_case(name) && is_literal(before) && is_literal(self.0.get(index + 1))
            }
            Piece::Token(_) | Piece::Literal(_) | Piece::Vanishing(_) => false,
        })
    }

    /// The bytes that the template stands for, piece by piece.
    pub(super) fn render<'a>(&'a self, view: View<'a>, values: Values<'a>) -> Result<Vec<Cow<'a, [u8]>>, Refusal> {
        let mut parts = Vec::with_capacity(self.0.len());
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => parts.push(Cow::Borrowed(text.as_bytes())),
                Piece::Token(token) => parts.push(token.render(view, values)?),
                Piece::Vanishing(inner) => parts.extend(vanishing(inner, view, values)),
            }
        }
        Ok(parts)
    }

    /// As one text, for replies.
    pub(super) fn render_text(&self, view: View<'_>, values: Values<'_>) -> Result<String, Refusal> {
        let bytes = self.render(view, values)?.concat();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The template in words, for people.
    pub(super) fn describe(&self) -> String {
        self.0.iter().map(Piece::describe).collect()
    }
}

fn collect<'a>(pieces: &'a [Piece], found: &mut Vec<&'a Token>) {
    for piece in pieces {
        match piece {
            Piece::Literal(_) => {}
            Piece::Token(token) => found.push(token),
            Piece::Vanishing(inner) => collect(inner, found),
        }
    }
}

/// The parts of a vanishing piece, or none where a token is missing or empty.
fn vanishing<'a>(pieces: &'a [Piece], view: View<'a>, values: Values<'a>) -> Vec<Cow<'a, [u8]>> {
    let render = |piece: &'a Piece| match piece {
        Piece::Literal(text) => Some(Cow::Borrowed(text.as_bytes())),
        Piece::Token(token) => token.render(view, values).ok().filter(|bytes| !bytes.is_empty()),
        Piece::Vanishing(_) => None,
    };
    pieces.iter().map(render).collect::<Option<Vec<_>>>().unwrap_or_default()
}

impl Piece {
    fn describe(&self) -> String {
        match self {
            Self::Literal(text) => text.clone(),
            Self::Token(token) => format!("{{{}}}", token.describe()),
            Self::Vanishing(inner) => format!("[{}]", inner.iter().map(Self::describe).collect::<String>()),
        }
    }
}

fn pieces(rest: &mut &str, is_inside: bool) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    while let Some(next) = rest.chars().next() {
        let doubled = rest[next.len_utf8()..].starts_with(next);
        match next {
            '{' | '}' | '[' | ']' if doubled => {
                literal.push(next);
                *rest = &rest[2..];
                continue;
            }
            '{' => {
                let (token, tail) = rest[1..].split_once('}').ok_or("a { is never closed")?;
                flush(&mut literal, &mut pieces);
                pieces.push(Piece::Token(Token::parse(token)?));
                *rest = tail;
            }
            '[' if is_inside => return Err("a [ inside [ … ]".to_owned()),
            '[' => {
                *rest = &rest[1..];
                flush(&mut literal, &mut pieces);
                let inner = self::pieces(rest, true)?;
                if !inner.iter().any(|piece| matches!(piece, Piece::Token(_))) {
                    return Err(
                        "a [ … ] without a token would always vanish; written twice, a bracket stands for itself".to_owned()
                    );
                }
                pieces.push(Piece::Vanishing(inner));
            }
            ']' if is_inside => {
                *rest = &rest[1..];
                flush(&mut literal, &mut pieces);
                return Ok(pieces);
            }
            '}' | ']' => return Err(format!("a {next} without its beginning; written twice it stands for itself")),
            _ => {
                literal.push(next);
                *rest = &rest[next.len_utf8()..];
            }
        }
    }
    if is_inside {
        return Err("a [ is never closed".to_owned());
    }
    flush(&mut literal, &mut pieces);
    Ok(pieces)
}

fn flush(literal: &mut String, pieces: &mut Vec<Piece>) {
    if !literal.is_empty() {
        pieces.push(Piece::Literal(std::mem::take(literal)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_says_what_is_wrong_with_it() {
        for text in ["{body", "body}", "{nonsense}", "[{body}", "x]", "[a[b]]", "{json:a.b}", "{header:}", "{now:%"] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
        let text = "a{{b}}[[c]][id:{query:data.id|lower};]{json:$.a?}{json:$.x|decimals:$.y}{body}";
        assert_eq!(
            Template::parse(text).expect("a template").describe(),
            "a{b}[c][id:{query:data.id|lower};]{json:$.a?}{json:$.x|decimals:$.y}{body}"
        );
    }
}
