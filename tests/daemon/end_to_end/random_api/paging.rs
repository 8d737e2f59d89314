//! How the lists of a seed are split into pages, and what the answers say of it.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What is drawn for a seed of how lists are split into pages.
pub(super) struct Paging {
    /// The options of the simulator.
    pub(super) api: String,
    totals: &'static str,
    /// Whether a list may take several answers.
    pub(super) has_pages: bool,
    /// Whether requests for a page that does not exist may be refused.
    pub(super) refuses: bool,
}

impl Paging {
    pub(super) fn of_seed(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(1);
        let mut one_of = |words: &[&'static str]| words[rng.random_range(0..words.len() as u64) as usize];
        let totals = one_of(&["numbers", "strings", "null", "zero", "page", "absent", "no_info"]);
        let size = one_of(&["granted", "asked", "absent"]);
        let (api, totals, has_pages, refuses) = match one_of(&["whole", "strict", "sized", "sized"]) {
            "strict" => {
                let status = one_of(&["400", "404", "422", "500"]);
                let api = format!(
                    "per_page: absent, totals: {totals}, queries: {{ refused: {{ status: {status} }} }}"
                );
                (api, totals, false, true)
            }
            "sized" => {
                // Two of the sizes are such that the last page is full.
                let (standard, largest) = (one_of(&["4", "5", "12"]), one_of(&["12", "50"]));
                let beyond = one_of(&["empty", "last", "bad_request", "not_found"]);
                let next = one_of(&[
                    "page",
                    "link",
                    "cursor",
                    "cursors_after",
                    "next_cursor",
                    "next_page_token",
                    "next",
                    "has_more",
                ]);
                // Without `result_info` no cursor leads on.
                let totals = if totals == "no_info" && (next.contains("cursor") || next.contains("token")) {
                    "null"
                } else {
                    totals
                };
                let api = format!(
                    "pages: {{ sized: {{ standard: {standard}, largest: {largest} }} }}, per_page: {size}, \
                     totals: {totals}, next_page: {next}, beyond_last: {beyond}"
                );
                (api, totals, true, matches!(beyond, "bad_request" | "not_found"))
            }
            _ => (String::new(), "numbers", false, false),
        };
        Self { api, totals, has_pages, refuses }
    }

    /// Whether the answers count all rows of a list.
    pub(super) fn counts_rows(&self) -> bool {
        matches!(self.totals, "numbers" | "strings")
    }
}
