//! `salebridge top`: how it goes, live. The terminal is given back as it was, whatever happens.

use std::collections::VecDeque;
use std::io::{IsTerminal as _, Stdout, Write as _, stdout};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

use clap::Args;
use clap::builder::styling::{AnsiColor, Style};
use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, execute, queue};

use super::frame::{Frame, Known, Rates, Room, Tone, frame, text};
use super::print::{Printer, terminal_width};
use super::serve::until_stopped;
use super::{Answer, Failure, runtime, visit};
use crate::domain::{Clock as _, SystemClock, Timestamp};
use crate::overview::{Overview, overview};
use crate::store::{Error, Store};

/// Rates are those of so long a time, or of the last two looks.
const RATES_OVER: Duration = Duration::from_secs(10);
/// So long keys are waited for before it is looked whether something else happened.
const PATIENCE: Duration = Duration::from_millis(100);
/// The width of a plain frame where there is no terminal.
const USUAL_WIDTH: usize = 80;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Look again after so many seconds
    #[arg(long, default_value_t = 2, value_name = "SECS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,
    /// Count the last so many days (UTC), today included
    #[arg(long, default_value_t = 1, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=366))]
    days: u16,
    /// Print it once and end, as it is where standard output is no terminal
    #[arg(long)]
    once: bool,
}

pub(super) fn run(arguments: &Arguments, config: &Path, printer: &Printer) -> Answer {
    let store = visit(config)?;
    if printer.is_json() || arguments.once || !stdout().is_terminal() {
        let now = SystemClock.now();
        let overview = overview(&*store, arguments.days, now)?;
        if printer.is_json() {
            printer.json(&overview);
            return Ok(());
        }
        let known = Known { overview: Some(&overview), rates: None, trouble: None, is_live: false };
        let room = Room { width: terminal_width().unwrap_or(USUAL_WIDTH), height: usize::MAX };
        printer.line(text(&frame(&known, room, now)));
        return Ok(());
    }
    let is_stopped = hear_signals()?;
    let looks = Looks::start(store, arguments.days)?;
    let failed = |error: std::io::Error| Failure::No(format!("the terminal does not do its part: {error}"));
    let terminal = Terminal::enter().map_err(failed)?;
    let ended = watch(looks, Duration::from_secs(arguments.interval), &is_stopped, printer.is_colourful());
    drop(terminal);
    ended.map_err(failed)
}

/// SIGTERM and SIGINT end it as a key does.
fn hear_signals() -> Result<Arc<AtomicBool>, Failure> {
    let is_stopped = Arc::new(AtomicBool::new(false));
    let (heard, runtime) = (Arc::clone(&is_stopped), runtime()?);
    let hear = move || {
        if runtime.block_on(until_stopped()).is_ok() {
            heard.store(true, Ordering::Relaxed);
        }
    };
    let started = std::thread::Builder::new().name("signals".to_owned()).spawn(hear);
    started.map(|_| is_stopped).map_err(|error| Failure::No(format!("cannot start: {error}")))
}

/// Looks at the store on a thread of its own, so that a store that does not answer keeps nobody from leaving.
struct Looks {
    wanted: Sender<()>,
    found: Receiver<Result<Overview, Error>>,
    is_under_way: bool,
    past: VecDeque<(Instant, Overview)>,
    trouble: Option<String>,
}

impl Looks {
    fn start(store: Arc<dyn Store>, days: u16) -> Result<Self, Failure> {
        let (wanted, asked) = channel::<()>();
        let (answer, found) = channel();
        let look = move || {
            while asked.recv().is_ok() {
                if answer.send(overview(&*store, days, SystemClock.now())).is_err() {
                    return;
                }
            }
        };
        let started = std::thread::Builder::new().name("look".to_owned()).spawn(look);
        started.map_err(|error| Failure::No(format!("cannot start: {error}")))?;
        Ok(Self { wanted, found, is_under_way: false, past: VecDeque::new(), trouble: None })
    }

    fn begin(&mut self) {
        if !self.is_under_way {
            self.is_under_way = self.wanted.send(()).is_ok();
        }
    }

    /// Takes what was found. Answers whether there is anything new to show.
    fn take(&mut self) -> std::io::Result<bool> {
        let found = match self.found.try_recv() {
            Ok(found) => found,
            Err(TryRecvError::Empty) => return Ok(false),
            Err(TryRecvError::Disconnected) => return Err(std::io::Error::other("the look at the store ended unexpectedly")),
        };
        self.is_under_way = false;
        match found {
            Ok(overview) => {
                self.trouble = None;
                let now = Instant::now();
                self.past.push_back((now, overview));
                while self.past.len() > 2 && self.past.get(1).is_some_and(|(then, _)| now.duration_since(*then) >= RATES_OVER) {
                    self.past.pop_front();
                }
            }
            Err(error) => self.trouble = Some(error.to_string()),
        }
        Ok(true)
    }

    fn rates(&self) -> Option<Rates> {
        let ((then, before), (now, after)) = (self.past.front()?, self.past.back()?);
        // Another day has begun: the counts are of other days.
        let is_alike = before.since == after.since;
        Rates::between(&before.funnel, &after.funnel, now.duration_since(*then)).filter(|_| is_alike)
    }

    fn known(&self) -> Known<'_> {
        let overview = self.past.back().map(|(_, overview)| overview);
        Known { overview, rates: self.rates(), trouble: self.trouble.as_deref(), is_live: true }
    }
}

/// Looks and draws until somebody wants to leave.
fn watch(mut looks: Looks, interval: Duration, is_stopped: &AtomicBool, is_colourful: bool) -> std::io::Result<()> {
    let mut out = stdout();
    let mut next = Instant::now();
    draw(&mut out, &looks.known(), SystemClock.now(), is_colourful)?;
    while !is_stopped.load(Ordering::Relaxed) {
        if Instant::now() >= next {
            looks.begin();
            next = Instant::now() + interval;
        }
        let mut is_new = looks.take()?;
        if event::poll(PATIENCE)? {
            match event::read()? {
                Event::Key(key) if key.kind == KeyEventKind::Press && leaves(key.code, key.modifiers) => return Ok(()),
                Event::Resize(..) => is_new = true,
                Event::Key(_) | Event::FocusGained | Event::FocusLost | Event::Mouse(_) => {}
            }
        }
        if is_new {
            draw(&mut out, &looks.known(), SystemClock.now(), is_colourful)?;
        }
    }
    Ok(())
}

/// Whether a key means that somebody wants to leave. In raw mode Ctrl-C is a key.
fn leaves(code: KeyCode, modifiers: KeyModifiers) -> bool {
    code == KeyCode::Esc || code == KeyCode::Char('q') || code == KeyCode::Char('c') && modifiers.contains(KeyModifiers::CONTROL)
}

fn draw(out: &mut Stdout, known: &Known<'_>, now: Timestamp, is_colourful: bool) -> std::io::Result<()> {
    let (width, height) = crossterm::terminal::size()?;
    let drawn: Frame = frame(known, Room { width: width.into(), height: height.into() }, now);
    queue!(out, BeginSynchronizedUpdate)?;
    for (row, line) in (0..height).zip(&drawn) {
        queue!(out, cursor::MoveTo(0, row))?;
        for piece in line {
            let style = if is_colourful { style(piece.tone) } else { Style::new() };
            write!(out, "{style}{}{style:#}", piece.text)?;
        }
        queue!(out, Clear(ClearType::UntilNewLine))?;
    }
    if let Some(row) = u16::try_from(drawn.len()).ok().filter(|row| *row < height) {
        queue!(out, cursor::MoveTo(0, row), Clear(ClearType::FromCursorDown))?;
    }
    queue!(out, EndSynchronizedUpdate)?;
    out.flush()
}

fn style(tone: Tone) -> Style {
    match tone {
        Tone::Plain => Style::new(),
        Tone::Title => Style::new().bold(),
        Tone::Quiet => AnsiColor::BrightBlack.on_default(),
        Tone::Good => AnsiColor::Green.on_default(),
        Tone::Bad => AnsiColor::Red.on_default(),
    }
}

/// The terminal while it is ours.
struct Terminal;

/// True while it is ours: given back twice, it would lose what was written in between.
static IS_OURS: AtomicBool = AtomicBool::new(false);

impl Terminal {
    fn enter() -> std::io::Result<Self> {
        enable_raw_mode()?;
        IS_OURS.store(true, Ordering::SeqCst);
        // From here on it is given back, however this ends.
        let terminal = Self;
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |what| {
            give_back();
            before(what);
        }));
        execute!(stdout(), EnterAlternateScreen, cursor::Hide)?;
        Ok(terminal)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
    }
}

/// Whoever has no terminal any more does not miss it.
fn give_back() {
    if !IS_OURS.swap(false, Ordering::SeqCst) {
        return;
    }
    drop(execute!(stdout(), cursor::Show, LeaveAlternateScreen));
    drop(disable_raw_mode());
}
