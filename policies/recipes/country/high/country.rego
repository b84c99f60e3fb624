# Some actions only from some countries.
#
# The country is a fact of your edge: it sets `x-client-country` and takes out what a client sent under that name. The
# manifest names the header, so that the policy sees it.
package lemma.high

import data.lemma.high.settings
import data.lemma.lib

deny contains "x_country" if {
	lib.caller
	not country_accepted
}

country_accepted if {
	is_array(settings.country.actions)
	not input.route.action in settings.country.actions
}

country_accepted if input.request.headers["x-client-country"] in settings.country.accepted
