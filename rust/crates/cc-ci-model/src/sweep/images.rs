//! Which images go when the disk is getting full: the least recently used of those that runs have brought.

/// Whether somebody may be about to use an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// No run is there.
    Quiet,
    /// So many runs live, and any of them may be pulling or deploying.
    Runs(usize),
}

/// The disk that images lie on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// All of it, in bytes.
    pub total: u64,
    /// What programs may still take, in bytes.
    pub free: u64,
}

impl Disk {
    /// How full it is, 0 to 100.
    #[must_use]
    pub fn used_percent(self) -> u8 {
        let used = self.total.saturating_sub(self.free);
        u8::try_from(u128::from(used) * 100 / u128::from(self.total.max(1))).unwrap_or(100)
    }
}

/// An image on the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFacts {
    /// Its id.
    pub id: String,
    /// What it takes, in bytes, layers shared with others counted in full.
    pub bytes: u64,
    /// Whether a container, running or not, is made from it.
    pub is_in_use: bool,
    /// When a run used it last; none for images that no run of cc-ci has brought: they are nobody's to remove.
    pub last_used: Option<jiff::Timestamp>,
}

/// What becomes of the images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageFate {
    /// The disk has room enough.
    RoomEnough,
    /// The disk is full above the threshold, and nothing may be removed at this moment.
    Keep(String),
    /// Ids of those to remove, least recently used first.
    Remove(Vec<String>),
}

/// Decides. Above `threshold_percent` as many go as it takes to come below it, and no more.
#[must_use]
pub fn images(images: &[ImageFacts], disk: Disk, threshold_percent: u8, activity: Activity) -> ImageFate {
    let percent = disk.used_percent();
    if percent <= threshold_percent {
        return ImageFate::RoomEnough;
    }
    if let Activity::Runs(count) = activity {
        return ImageFate::Keep(format!("the disk is {percent} % full, but {count} runs are under way"));
    }
    let mut unused: Vec<(&ImageFacts, jiff::Timestamp)> = images
        .iter()
        .filter(|image| !image.is_in_use)
        .filter_map(|image| Some((image, image.last_used?)))
        .collect();
    unused.sort_by(|left, right| (left.1, &left.0.id).cmp(&(right.1, &right.0.id)));
    let allowed = u128::from(disk.total) * u128::from(threshold_percent) / 100;
    let mut over = u128::from(disk.total.saturating_sub(disk.free)).saturating_sub(allowed);
    let mut gone = Vec::new();
    for (image, _) in unused {
        if over == 0 {
            break;
        }
        over = over.saturating_sub(u128::from(image.bytes));
        gone.push(image.id.clone());
    }
    if gone.is_empty() {
        let reason = format!("the disk is {percent} % full, and no unused image of a run is left to remove");
        return ImageFate::Keep(reason);
    }
    ImageFate::Remove(gone)
}
