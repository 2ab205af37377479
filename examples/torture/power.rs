//! Power loss: an ext4 in a file, mounted, and stopped as it stands without anything being flushed.
//!
//! Needs root, and a mount namespace of one's own for tidiness: `unshare -m torture --power`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// The call that stops a file system: nothing in memory reaches the disk any more, the log included.
const STOP: &str = "open(my $fs, '<', $ARGV[0]) or die $!; my $how = pack('I', 2); \
                    ioctl($fs, 0x8004587d, $how) or die $!";

/// A disk whose power can be cut.
pub(crate) struct Disk {
    image: PathBuf,
    pub(crate) at: PathBuf,
}

impl Disk {
    /// Makes it and mounts it on `dir`.
    pub(crate) fn mount(dir: &Path) -> Result<Disk> {
        let disk = Disk { image: dir.with_extension("ext4"), at: dir.to_owned() };
        let image = std::fs::File::create(&disk.image).context("cannot make a disk")?;
        image.set_len(512 << 20).context("cannot make a disk")?;
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&disk.image))?;
        disk.on()?;
        Ok(disk)
    }

    /// Cuts the power: whoever works on it fails from now on.
    pub(crate) fn cut(at: &Path) -> Result<()> {
        run(Command::new("perl").args(["-e", STOP]).arg(at))
    }

    /// Power is back: what was not synced is gone.
    pub(crate) fn again(&self) -> Result<()> {
        run(Command::new("umount").arg(&self.at))?;
        self.on()
    }

    fn on(&self) -> Result<()> {
        run(Command::new("mount").args(["-o", "loop"]).arg(&self.image).arg(&self.at))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What is left of a failed run is for people to look at; the namespace lets go of the mount.
        let _ = Command::new("umount").arg(&self.at).stderr(Stdio::null()).status();
        let _ = std::fs::remove_file(&self.image);
    }
}

fn run(command: &mut Command) -> Result<()> {
    let ran = command.output().with_context(|| format!("cannot run {command:?}"))?;
    let said = String::from_utf8_lossy(&ran.stderr);
    ensure!(ran.status.success(), "{command:?} failed: {said}");
    Ok(())
}
