# Legacy tokens end by a date, route by route.
#
# `legacy_routes` still says where they are good at all. A route without a date has none left.
package lemma.low

import data.lemma.lib
import data.lemma.low.settings

deny contains "x_legacy_sunset" if {
	lib.caller == "token"
	not before_sunset
}

before_sunset if lib.at_most(input.now, object.get(settings.legacy_until_ms, input.route.id, null))
