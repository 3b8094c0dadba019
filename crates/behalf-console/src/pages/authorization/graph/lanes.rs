//! The lines in the margin of a drawing: which there are, the lane of each, and what of them stands
//! beside one row.

use std::collections::BTreeMap;

use behalf_authz::engine::TypeDefinition;

use super::references;

/// Colours, after which they begin again.
const COLOURS: usize = 6;

/// Half of how high an arrow's head is, in pixels; every row is higher than the whole.
const HEAD: usize = 3;

/// A row: the block's index, and the relation's in it; none for the block's name.
type Place = (usize, Option<usize>);

/// A line from a kind of user to every relation that admits it.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    /// Its number among the lines.
    number: usize,
    /// Its place in the margin, from the text outwards.
    slot: usize,
    source: Place,
    targets: Vec<Place>,
}

/// A piece of a line in one row.
#[derive(Clone, Debug)]
pub(crate) struct Stroke {
    /// The line's number.
    pub(crate) lane: usize,
    /// The path.
    pub(crate) d: String,
    pub(crate) kind: StrokeKind,
    pub(crate) is_used: bool,
}

/// Which piece of a line it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StrokeKind {
    /// Along the margin.
    Along,
    /// From its source into the margin.
    Out,
    /// From the margin into a relation.
    In,
}

/// What stands in the margin beside a row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Strokes {
    pub(crate) height: usize,
    lines: Vec<Stroke>,
}

/// The lines of these types, and how many lanes they need. Short lines are next to the text; two
/// share a lane if no block has both.
pub(super) fn lanes(types: &[&TypeDefinition]) -> (Vec<Lane>, usize) {
    let blocks: BTreeMap<&str, (usize, &TypeDefinition)> =
        types.iter().enumerate().map(|(index, of)| (of.type_name.as_str(), (index, *of))).collect();
    let row = |definition: &TypeDefinition, relation: &str| {
        definition.relations.keys().position(|known| known == relation)
    };
    // `user` and `user:*` share a line, under whichever condition.
    let mut targets: BTreeMap<Place, Vec<Place>> = BTreeMap::new();
    for (index, definition) in types.iter().enumerate() {
        for (relation, reference) in references(definition) {
            let Some((from, source)) = blocks.get(reference.type_name.as_str()) else { continue };
            let target = (index, row(definition, relation));
            let known = targets.entry((*from, row(source, &reference.relation))).or_default();
            if known.last() != Some(&target) && !known.contains(&target) {
                known.push(target);
            }
        }
    }
    let mut lanes: Vec<Lane> = targets
        .into_iter()
        .enumerate()
        .map(|(number, (source, targets))| Lane { number, slot: 0, source, targets })
        .collect();
    let mut shortest: Vec<usize> = (0..lanes.len()).collect();
    shortest.sort_by_key(|index| lanes.get(*index).map(|lane| lane.end().0 - lane.start().0));
    let mut taken: Vec<Vec<(usize, usize)>> = Vec::new();
    for index in shortest {
        let Some(lane) = lanes.get_mut(index) else { continue };
        let (start, end) = (lane.start().0, lane.end().0);
        let is_free = |others: &Vec<(usize, usize)>| {
            others.iter().all(|(from, to)| *to < start || end < *from)
        };
        lane.slot = taken.iter().position(is_free).unwrap_or(taken.len());
        match taken.get_mut(lane.slot) {
            Some(others) => others.push((start, end)),
            None => taken.push(vec![(start, end)]),
        }
    }
    (lanes, taken.len())
}

impl Lane {
    fn start(&self) -> Place {
        self.targets.iter().copied().fold(self.source, Place::min)
    }

    fn end(&self) -> Place {
        self.targets.iter().copied().fold(self.source, Place::max)
    }

    /// True if it comes from above the block and goes on below it.
    pub(super) fn passes(&self, block: usize) -> bool {
        self.start().0 < block && block < self.end().0
    }

    /// True if it begins in the block, or above its last target in it, and goes on below it.
    pub(super) fn leaves(&self, block: usize) -> bool {
        self.start().0 == block && block < self.end().0
    }
}

impl Strokes {
    /// The pieces, in the order in which they are drawn.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &Stroke> {
        self.lines.iter()
    }

    /// Marks what leads into the row.
    pub(super) fn mark(&mut self) {
        for line in &mut self.lines {
            line.is_used |= line.kind == StrokeKind::In;
        }
    }

    /// These lines, from top to bottom.
    pub(super) fn through<'l>(
        lanes: impl Iterator<Item = &'l Lane>,
        height: usize,
        x: impl Fn(usize) -> usize,
    ) -> Self {
        let along =
            |lane: &Lane| stroke(lane, StrokeKind::Along, format!("M{} 0 V{height}", x(lane.slot)));
        Self { height, lines: lanes.map(along).collect() }
    }

    /// What stands beside a row of an open block.
    pub(super) fn beside(
        lanes: &[Lane],
        place: Place,
        size: (usize, usize),
        x: impl Fn(usize) -> usize,
    ) -> Self {
        let meets = |lane: &Lane| {
            let is_here = lane.start() <= place && place <= lane.end();
            is_here.then(|| Meeting {
                goes_in: lane.targets.contains(&place),
                goes_out: lane.source == place,
                from_above: lane.start() < place,
                to_below: place < lane.end(),
                is_passing: lane.passes(place.0),
            })
        };
        Self::of(lanes, meets, size, x)
    }

    /// What stands beside the name of a closed block.
    pub(super) fn closed(
        lanes: &[Lane],
        block: usize,
        size: (usize, usize),
        x: impl Fn(usize) -> usize,
    ) -> Self {
        let meets = |lane: &Lane| {
            let is_here = lane.start().0 <= block && block <= lane.end().0;
            is_here.then(|| Meeting {
                goes_in: lane.targets.iter().any(|target| target.0 == block),
                goes_out: lane.source.0 == block,
                from_above: lane.start().0 < block,
                to_below: block < lane.end().0,
                is_passing: lane.passes(block),
            })
        };
        Self::of(lanes, meets, size, x)
    }

    fn of(
        lanes: &[Lane],
        meets: impl Fn(&Lane) -> Option<Meeting>,
        (height, width): (usize, usize),
        x: impl Fn(usize) -> usize,
    ) -> Self {
        let met: Vec<(&Lane, Meeting)> =
            lanes.iter().filter_map(|lane| Some((lane, meets(lane)?))).collect();
        let ends = |meeting: &Meeting| usize::from(meeting.goes_in) + usize::from(meeting.goes_out);
        let count: usize = met.iter().map(|(_, meeting)| ends(meeting)).sum();
        let mut strokes = Self { height, lines: Vec::new() };
        let mut used = 0;
        for (lane, meeting) in met {
            let column = x(lane.slot);
            // Each end has a height of its own, so that none lies on another while there is room, and
            // room for its head.
            let mut heights = Vec::new();
            let mut next = || {
                used += 1;
                let y = (height * used / (count + 1)).clamp(HEAD, height - HEAD);
                heights.push(y);
                y
            };
            let mut ends = Vec::new();
            if meeting.goes_in {
                let y = next();
                let (back, up, down) = (width - 5, y - HEAD, y + HEAD);
                let d = format!("M{column} {y} H{width} M{back} {up} L{width} {y} {back} {down}");
                ends.push(stroke(lane, StrokeKind::In, d));
            }
            if meeting.goes_out {
                let y = next();
                ends.push(stroke(lane, StrokeKind::Out, format!("M{width} {y} H{column}")));
            }
            let top = if meeting.from_above { Some(0) } else { heights.iter().min().copied() };
            let bottom =
                if meeting.to_below { Some(height) } else { heights.iter().max().copied() };
            if let (Some(top), Some(bottom), false) = (top, bottom, meeting.is_passing)
                && top < bottom
            {
                let d = format!("M{column} {top} V{bottom}");
                strokes.lines.push(stroke(lane, StrokeKind::Along, d));
            }
            strokes.lines.extend(ends);
        }
        strokes
    }
}

/// How a line meets a row.
#[derive(Clone, Copy, Debug)]
struct Meeting {
    goes_in: bool,
    goes_out: bool,
    from_above: bool,
    to_below: bool,
    /// True if it is drawn beside the whole block already.
    is_passing: bool,
}

fn stroke(lane: &Lane, kind: StrokeKind, d: String) -> Stroke {
    Stroke { lane: lane.number, d, kind, is_used: false }
}

impl Stroke {
    /// Its classes: a colour, and which piece it is.
    pub(crate) fn class(&self) -> String {
        let kind = match self.kind {
            StrokeKind::Along => "",
            StrokeKind::Out => " out",
            StrokeKind::In => " in",
        };
        let used = if self.is_used { " used" } else { "" };
        format!("k{}{kind}{used}", self.lane % COLOURS)
    }
}
