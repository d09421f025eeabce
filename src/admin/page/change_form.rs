//! Where something is changed of a promoter: buttons, which the page's JavaScript has act with the token that is typed there. It keeps
//! the token as long as the page is open, and nowhere else.

use maud::{Markup, html};

use crate::model::feed::Feed;

/// Of the promoter with this key, as `APP/ID`.
pub fn forms(promoter: &str, may_be_changed: bool) -> Markup {
    html! {
        section id="change" aria-labelledby="change-title" data-promoter=(promoter) {
            h2 id="change-title" { "Change" }
            @if may_be_changed {
                noscript { p { "This needs JavaScript; promoters pause, resume and rewind do the same." } }
                (token())
                (pausing())
                (rewinding())
                p id="change-outcome" role="status" {}
            } @else {
                p { "Nothing can be changed here: neither admin.token_file nor admin.token names a token." }
            }
        }
    }
}

fn token() -> Markup {
    html! {
        p {
            label for="token" { "Token " }
            input id="token" type="password" autocomplete="off" spellcheck="false" aria-describedby="token-note";
            " " span id="token-note" class="quiet" { "that of admin.token_file or admin.token; forgotten when this page is left" }
        }
    }
}

fn pausing() -> Markup {
    html! {
        p {
            button type="button" data-change="pause" { "Pause" } " "
            button type="button" data-change="resume" { "Resume" }
        }
    }
}

fn rewinding() -> Markup {
    html! {
        fieldset {
            legend { "Ask again" }
            label for="rewind-feed" { "Feed " }
            select id="rewind-feed" { @for feed in Feed::ALL { option { (feed) } } }
            " " label for="rewind-to" { "from " }
            input id="rewind-to" autocomplete="off" placeholder="2026-11-03" aria-describedby="rewind-note";
            " " span id="rewind-note" class="quiet" { "a day of Beijing's, or a time such as 2026-11-03T12:00:00+08:00" }
            p { label { input id="rewind-republish" type="checkbox"; " publish again what is not remembered any more" } }
            button type="button" data-change="rewind" data-dry-run="true" { "Show what it costs" } " "
            button type="button" data-change="rewind" { "Rewind" }
        }
    }
}
