//! The frame around every page: what the rooms are called, where one is, how to leave.

use super::assets;

/// The rooms of the dashboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// How it goes.
    Overview,
    /// The ledger.
    Sales,
    /// The inbox.
    Requests,
    /// The queues.
    Deliveries,
    /// Where webhooks come from.
    Sources,
    /// Where sales go.
    Upstreams,
    /// What programs can ask.
    Reference,
    /// Before the door, or nowhere.
    None,
}

/// What the frame needs to know.
pub(super) struct Layout {
    /// The page's title.
    pub(super) title: String,
    /// The word of the session's forms; `None` where nobody is known yet.
    pub(super) word: Option<String>,
    /// Whether one can sign out.
    pub(super) is_locked: bool,
    room: Room,
}

/// An entry of the navigation.
pub(super) struct Door {
    pub(super) title: &'static str,
    pub(super) href: &'static str,
    pub(super) is_here: bool,
}

impl Layout {
    /// A frame.
    pub(super) fn new(room: Room, title: &str, word: Option<String>, is_locked: bool) -> Self {
        Self { title: title.to_owned(), word, is_locked, room }
    }

    /// The navigation.
    pub(super) fn doors(&self) -> Vec<Door> {
        let rooms = [
            (Room::Overview, "Overview", "/"),
            (Room::Sales, "Sales", "/sales"),
            (Room::Requests, "Requests", "/requests"),
            (Room::Deliveries, "Deliveries", "/deliveries"),
            (Room::Sources, "Sources", "/sources"),
            (Room::Upstreams, "Upstreams", "/upstreams"),
        ];
        rooms.map(|(room, title, href)| Door { title, href, is_here: room == self.room }).into()
    }

    /// Whether this is the page about the API, to which the foot of every page leads.
    pub(super) fn is_reference(&self) -> bool {
        self.room == Room::Reference
    }

    /// The word of the session's forms.
    pub(super) fn word(&self) -> &str {
        self.word.as_deref().unwrap_or_default()
    }

    /// Where the style is.
    pub(super) fn style(&self) -> &'static str {
        assets::STYLE.url()
    }

    /// Where the script is.
    pub(super) fn script(&self) -> &'static str {
        assets::SCRIPT.url()
    }

    /// Where the icon is.
    pub(super) fn icon(&self) -> &'static str {
        assets::ICON.url()
    }
}
