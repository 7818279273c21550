//! A YAML text as a tree in which every value knows its line: anchors followed, merge keys folded in, size bounded.

use std::collections::{BTreeMap, HashMap};

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};

use super::error::{Place, Problem};
use super::{raw_text, scalar};

/// Most values in one file after aliases were followed. The CLI has a ratio instead; both end bombs of aliases.
const MOST_NODES: usize = 100_000;
/// Deepest nesting. A compose file needs eight levels.
const DEEPEST: usize = 64;

/// One value and the line it was written on (for the value of a key: the line of the key).
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// Two nodes are equal if they say the same, wherever they stand.
impl PartialEq for Node {
    fn eq(&self, other: &Node) -> bool {
        self.value == other.value
    }
}

/// What YAML can say, as the CLI's parser understands it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    /// Whole numbers beyond `i64`.
    Unsigned(u64),
    Float(f64),
    /// A date or time, already in the form in which Go prints it.
    Time(String),
    Text(String),
    List(Vec<Node>),
    Map(BTreeMap<String, Node>),
}

impl Node {
    pub(super) fn new(place: Place, value: Value) -> Node {
        Node { place, value }
    }

    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The entries of a mapping; of anything else none.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&String, &Node)> {
        match &self.value {
            Value::Map(map) => Some(map.iter()),
            _ => None,
        }
        .into_iter()
        .flatten()
    }

    /// The items of a list; of anything else none.
    pub(super) fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The value of a key of a mapping.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(map) => map.get(key),
            _ => None,
        }
    }

    /// What it is, in words for a message.
    pub(super) fn kind(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(flag) => format!("the boolean {flag}"),
            Value::Int(_) | Value::Unsigned(_) | Value::Float(_) => {
                format!("the number {}", scalar::printed(&self.value).unwrap_or_default())
            }
            Value::Time(_) => "a date".to_owned(),
            Value::Text(text) => format!("the text {}", quoted(text)),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
        }
    }
}

/// Text from a file, quoted, on one line and shortened, fit for a message.
pub(super) fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(80).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}

/// The first document of a text. Later documents are not looked at, as with the CLI.
///
/// # Errors
/// Malformed: not YAML, refused by [`raw_text`], empty, not a mapping, a key twice, a key that is no text, an alias without anchor or inside its own
/// anchor, or beyond the bounds above.
pub(super) fn parse(text: &str, file: usize) -> Result<Node, Problem> {
    let start = Place { file, line: 1 };
    let text = raw_text::checked(text, file)?;
    let signs = text.chars().collect();
    let mut reader =
        Reader { parser: Parser::new_from_str(text), file, signs, anchors: HashMap::new(), nodes: 0 };
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
            Event::StreamEnd | Event::DocumentEnd => break,
            other => {
                let node = reader.node(other, span, 0)?.node;
                return match node.value {
                    Value::Map(_) => Ok(node),
                    _ => Err(Problem::malformed(
                        node.place,
                        "the file must be a mapping with keys like services",
                    )),
                };
            }
        }
    }
    Err(Problem::malformed(start, "the file is empty; it must be a mapping with keys like services"))
}

/// A node with what its copies would cost.
#[derive(Debug, Clone)]
struct Measured {
    node: Node,
    /// Values in it, itself included.
    size: usize,
    /// Levels in it, itself included.
    height: usize,
}

/// Turns events into nodes.
struct Reader<'input> {
    parser: Parser<'input, StrInput<'input>>,
    file: usize,
    /// The text, for the names of anchors, which events do not carry.
    signs: Vec<char>,
    /// Finished anchors; `None` while the anchored value is still being read.
    anchors: HashMap<usize, Option<Measured>>,
    /// Values made so far, copies included.
    nodes: usize,
}

impl<'input> Reader<'input> {
    fn next(&mut self) -> Result<(Event<'input>, Span), Problem> {
        match self.parser.next_event() {
            Some(Ok(found)) => Ok(found),
            Some(Err(error)) => {
                let place = Place { file: self.file, line: error.marker().line().max(1) };
                Err(Problem::malformed(place, error.info().to_owned()))
            }
            None => Err(Problem::malformed(Place { file: self.file, line: 1 }, "the text ends too early")),
        }
    }

    fn place(&self, span: Span) -> Place {
        Place { file: self.file, line: span.start.line().max(1) }
    }

    fn count(&mut self, more: usize, place: Place) -> Result<(), Problem> {
        self.nodes = self.nodes.saturating_add(more);
        if self.nodes > MOST_NODES {
            let what = format!("more than {MOST_NODES} values once aliases are followed; use fewer aliases");
            return Err(Problem::malformed(place, what));
        }
        Ok(())
    }

    fn node(&mut self, event: Event<'input>, span: Span, depth: usize) -> Result<Measured, Problem> {
        let place = self.place(span);
        if depth >= DEEPEST {
            return Err(too_deep(place));
        }
        let is_anchored = match &event {
            Event::Alias(_) => true,
            Event::Scalar(_, _, anchor, _)
            | Event::SequenceStart(anchor, _)
            | Event::MappingStart(anchor, _) => *anchor != 0,
            _ => false,
        };
        let written = self.signs.get(span.start.index()..).unwrap_or_default();
        if is_anchored && !raw_text::has_plain_anchor(written) {
            let what =
                "anchors and aliases are named with letters, digits, _ and - only, followed by a space";
            return Err(Problem::malformed(place, what));
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1, place)?;
                let value = scalar_value(&text, style, tag.as_deref(), place)?;
                self.anchored(anchor, Measured { node: Node::new(place, value), size: 1, height: 1 }, place)
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(Some(found)) => {
                    if depth + found.height > DEEPEST {
                        return Err(too_deep(place));
                    }
                    // Counted before it is copied, so that a bomb costs nothing.
                    let size = found.size;
                    self.count(size, place)?;
                    match self.anchors.get(&anchor) {
                        Some(Some(found)) => Ok(found.clone()),
                        _ => Err(Problem::malformed(place, "an alias lost its anchor")),
                    }
                }
                Some(None) => Err(Problem::malformed(place, "an alias stands inside its own anchor")),
                None => Err(Problem::malformed(place, "an alias without an anchor of that name before it")),
            },
            Event::SequenceStart(anchor, _) => {
                self.open(anchor);
                self.count(1, place)?;
                let (mut items, mut size, mut height) = (Vec::new(), 1, 0);
                loop {
                    let (event, span) = self.next()?;
                    if event == Event::SequenceEnd {
                        break;
                    }
                    let item = self.node(event, span, depth + 1)?;
                    size += item.size;
                    height = height.max(item.height);
                    items.push(item.node);
                }
                let node = Node::new(place, Value::List(items));
                self.anchored(anchor, Measured { node, size, height: height + 1 }, place)
            }
            Event::MappingStart(anchor, _) => {
                self.open(anchor);
                self.count(1, place)?;
                let (map, size, height) = self.mapping(depth)?;
                let node = Node::new(place, Value::Map(map));
                self.anchored(anchor, Measured { node, size, height: height + 1 }, place)
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => Err(Problem::malformed(place, "a value is missing")),
        }
    }

    /// Marks an anchor as being read, so that an alias to it from inside is found.
    fn open(&mut self, anchor: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, None);
        }
    }

    fn anchored(&mut self, anchor: usize, made: Measured, place: Place) -> Result<Measured, Problem> {
        if anchor != 0 {
            self.count(made.size, place)?;
            self.anchors.insert(anchor, Some(made.clone()));
        }
        Ok(made)
    }

    /// The entries of a mapping up to its end: own keys win over merged ones, earlier merged ones over later ones.
    fn mapping(&mut self, depth: usize) -> Result<(BTreeMap<String, Node>, usize, usize), Problem> {
        let mut own: BTreeMap<String, Node> = BTreeMap::new();
        let mut merged: Vec<Node> = Vec::new();
        let mut merge_at: Option<Place> = None;
        let (mut size, mut height) = (1, 0);
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let is_merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let key = self.node(event, span, depth + 1)?.node;
            let place = self.place(span);
            let Value::Text(name) = key.value else {
                let what = format!("a key must be a text, found {}; put it in quotes", key.kind());
                return Err(Problem::malformed(place, what));
            };
            let earlier = if is_merge { merge_at } else { own.get(&name).map(|node| node.place) };
            if let Some(earlier) = earlier {
                let what =
                    format!("the key {} stands here and on line {}; keep one", quoted(&name), earlier.line);
                return Err(Problem::malformed(place, what));
            }
            let (event, span) = self.next()?;
            let value = if is_merge {
                merge_at = Some(place);
                self.merge_source(event, span, depth, &mut merged)?
            } else {
                let mut value = self.node(event, span, depth + 1)?;
                value.node.place = place;
                let node = std::mem::replace(&mut value.node, Node::new(place, Value::Null));
                own.insert(name, node);
                value
            };
            size += value.size + 1;
            height = height.max(value.height);
        }
        for source in merged {
            if let Value::Map(map) = source.value {
                for (key, node) in map {
                    own.entry(key).or_insert(node);
                }
            }
        }
        Ok((own, size, height))
    }

    /// The value of `<<`: a mapping, an alias of one, or a list of these written on the spot.
    fn merge_source(
        &mut self,
        event: Event<'input>,
        span: Span,
        depth: usize,
        merged: &mut Vec<Node>,
    ) -> Result<Measured, Problem> {
        let place = self.place(span);
        let is_alias = matches!(event, Event::Alias(_));
        let mut source = self.node(event, span, depth + 1)?;
        let node = std::mem::replace(&mut source.node, Node::new(place, Value::Null));
        match node.value {
            Value::Map(_) => merged.push(node),
            Value::List(items)
                if !is_alias && items.iter().all(|item| matches!(item.value, Value::Map(_))) =>
            {
                merged.extend(items);
            }
            _ => {
                let what = "the merge key << takes a mapping, an alias of one, or a list of these";
                return Err(Problem::malformed(place, what));
            }
        }
        Ok(source)
    }
}

fn too_deep(place: Place) -> Problem {
    Problem::malformed(place, format!("nested deeper than {DEEPEST} levels"))
}

/// A scalar with its quotes and tag considered.
fn scalar_value(text: &str, style: ScalarStyle, tag: Option<&Tag>, place: Place) -> Result<Value, Problem> {
    let tag = match tag {
        Some(tag) if tag.is_yaml_core_schema() => tag.suffix.as_str(),
        // A tag of somebody's own says nothing to the CLI, but keeps the word from being taken for a number.
        Some(tag) if !tag.suffix.is_empty() => return Ok(Value::Text(text.to_owned())),
        _ if style == ScalarStyle::Plain => return finite(scalar::resolve(text), place),
        _ => return Ok(Value::Text(text.to_owned())),
    };
    let resolved = scalar::resolve(text);
    let fits = match (tag, &resolved) {
        ("str", _) => return Ok(Value::Text(text.to_owned())),
        ("float", Value::Int(number)) => return Ok(Value::Float(*number as f64)),
        ("int", Value::Int(_) | Value::Unsigned(_))
        | ("float", Value::Float(_))
        | ("bool", Value::Bool(_))
        | ("null", Value::Null) => true,
        _ => false,
    };
    if fits {
        finite(resolved, place)
    } else {
        Err(Problem::malformed(place, format!("{} cannot be read as !!{tag}", quoted(text))))
    }
}

/// Infinity and not-a-number are YAML, but the CLI cannot check a file that has them.
fn finite(value: Value, place: Place) -> Result<Value, Problem> {
    match value {
        Value::Float(number) if !number.is_finite() => {
            Err(Problem::malformed(place, "a number must be finite; put the word in quotes if it is a text"))
        }
        value => Ok(value),
    }
}
