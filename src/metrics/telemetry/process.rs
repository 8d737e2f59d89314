//! The standard `process_*` metrics, read from `/proc` on Linux. They are missing on other systems.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;

use crate::metrics::encode::Writer;
use crate::metrics::families::exporter as f;

/// Values that do not change while the process runs.
#[derive(Debug)]
pub(super) struct Process {
    units: Units,
    /// `/proc/self/stat`, kept open: reading it again takes a third of the time of opening and reading it.
    stat: Option<File>,
    /// Seconds since the epoch.
    started: Option<f64>,
    max_fds: Option<u64>,
}

/// The units of the kernel's numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Units {
    page_bytes: u64,
    ticks_per_second: f64,
}

/// The fields of `/proc/self/stat` that are used, in the kernel's units.
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    started_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Process {
    pub(super) fn new() -> Self {
        let units = fs::read("/proc/self/auxv").map_or_else(|_| Units::USUAL, |auxv| Units::parse(&auxv));
        let stat = File::open("/proc/self/stat").ok();
        let boot = fs::read_to_string("/proc/stat").unwrap_or_default();
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let started = stat
            .as_ref()
            .and_then(Stat::read)
            .zip(boot_time(&boot))
            .map(|(stat, boot)| boot + stat.started_ticks as f64 / units.ticks_per_second);
        Self { units, stat, started, max_fds: max_fds(&limits) }
    }

    /// Reads the other values and writes all.
    pub(super) fn write(&self, writer: &mut Writer) {
        if let Some(stat) = self.stat.as_ref().and_then(Stat::read) {
            let cpu = stat.cpu_ticks as f64 / self.units.ticks_per_second;
            writer.family(&f::PROCESS_CPU).put([], cpu);
            writer.family(&f::PROCESS_VIRTUAL_MEMORY).put([], stat.virtual_bytes);
            let resident = stat.resident_pages * self.units.page_bytes;
            writer.family(&f::PROCESS_RESIDENT_MEMORY).put([], resident);
            writer.family(&f::PROCESS_THREADS).put([], stat.threads);
        }
        if let Some(open) = open_fds() {
            writer.family(&f::PROCESS_OPEN_FDS).put([], open);
        }
        if let Some(max) = self.max_fds {
            writer.family(&f::PROCESS_MAX_FDS).put([], max);
        }
        if let Some(started) = self.started {
            writer.family(&f::PROCESS_START_TIME).put([], started);
        }
    }
}

impl Units {
    const USUAL: Self = Self { page_bytes: 4096, ticks_per_second: 100.0 };

    /// Parses `/proc/self/auxv`: pairs of machine words, a type and a value.
    fn parse(auxv: &[u8]) -> Self {
        const PAGE_SIZE: usize = 6;
        const CLOCK_TICKS: usize = 17;
        let (words, _) = auxv.as_chunks::<{ size_of::<usize>() }>();
        let (pairs, _) = words.as_chunks::<2>();
        let mut units = Self::USUAL;
        for [kind, value] in pairs {
            let value = usize::from_ne_bytes(*value);
            match usize::from_ne_bytes(*kind) {
                PAGE_SIZE if value > 0 => units.page_bytes = value as u64,
                CLOCK_TICKS if value > 0 => units.ticks_per_second = value as f64,
                _ => {}
            }
        }
        units
    }
}

impl Stat {
    fn read(file: &File) -> Option<Self> {
        // 52 numbers of at most 20 digits with a space, and a name of at most 64 bytes.
        let mut line = [0; 52 * 21 + 64];
        let length = file.read_at(&mut line, 0).ok()?;
        Self::parse(&String::from_utf8_lossy(line.get(..length)?))
    }

    /// The second field is the command's name in brackets. It may contain anything, spaces and brackets too.
    fn parse(line: &str) -> Option<Self> {
        let (_, fields) = line.rsplit_once(')')?;
        // Fields are numbered from 1 in proc(5), and the first two are cut off.
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: field(14)? + field(15)?,
            threads: field(20)?,
            started_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

/// Since Linux 6.2 the size of the directory is the number of open files. Before, the entries must be counted.
fn open_fds() -> Option<u64> {
    let directory = "/proc/self/fd";
    match fs::metadata(directory).ok()?.len() {
        // Reading the directory opens one more file.
        0 => Some(fs::read_dir(directory).ok()?.count().saturating_sub(1) as u64),
        open => Some(open),
    }
}

/// When the system booted, from `/proc/stat`, in seconds since the epoch.
fn boot_time(stat: &str) -> Option<f64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// The soft limit in `/proc/self/limits`.
fn max_fds(limits: &str) -> Option<u64> {
    limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?
        .split_ascii_whitespace()
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::encode::Format;

    #[test]
    fn a_command_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let line = "42 (a) b (c)) S 1 42 42 0 -1 4194560 100 0 0 0 7 5 0 0 20 0 3 0 8000 1048576 256 99 0";
        assert_eq!(
            Stat::parse(line),
            Some(Stat {
                cpu_ticks: 12,
                threads: 3,
                started_ticks: 8_000,
                virtual_bytes: 1_048_576,
                resident_pages: 256,
            })
        );
        for broken in ["", "42 (a", "42 (a) S 1 2", "42 (a) S x"] {
            assert_eq!(Stat::parse(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn units_come_from_the_auxiliary_vector() {
        let words = [6_usize, 65_536, 17, 250, 0, 0];
        let auxv: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let units = Units { page_bytes: 65_536, ticks_per_second: 250.0 };
        assert_eq!(Units::parse(&auxv), units);
        assert_eq!(Units::parse(b"short"), Units::USUAL);
    }

    #[test]
    fn an_unlimited_number_of_files_is_not_a_number() {
        for (line, wanted) in [
            ("Max open files            1024                 524288               files", Some(1_024)),
            ("Max open files            unlimited            unlimited            files", None),
            ("Max processes             7                    7                    processes", None),
        ] {
            assert_eq!(max_fds(line), wanted, "{line}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_a_start_time_memory_and_open_files() {
        let mut writer = Writer::new(Format::Text, 0);
        Process::new().write(&mut writer);
        let text = writer.part();
        for name in [
            "process_cpu_seconds_total",
            "process_virtual_memory_bytes",
            "process_resident_memory_bytes",
            "process_threads",
            "process_open_fds",
            "process_start_time_seconds",
        ] {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let value: f64 = line.unwrap_or_else(|| panic!("{name} in\n{text}")).trim().parse().unwrap();
            // A test that has just started may have used less than one tick of CPU time.
            assert!(value > 0.0 || name.contains("cpu"), "{name} is {value}");
        }
    }
}
