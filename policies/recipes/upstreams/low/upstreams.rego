# Hosts that agents may reach at all, in one list, whatever routes there are.
#
# `*.` is any name below.
package lemma.low

import data.lemma.lib
import data.lemma.low.settings

deny contains "x_upstream" if {
	lib.caller
	not upstream_listed
}

upstream_listed if input.request.host in settings.upstreams

upstream_listed if {
	some pattern in settings.upstreams
	startswith(pattern, "*.")
	endswith(input.request.host, trim_prefix(pattern, "*"))
}
