# What a tool of an MCP server may be called with.
#
# Its arguments are the body, its action is `mcp.<server>.<tool>`.
package lemma.low

import data.lemma.lib
import data.lemma.low.settings

deny contains "x_mcp_arguments" if {
	lib.caller
	not arguments_accepted
}

arguments_accepted if {
	is_object(settings.mcp_paths)
	not settings.mcp_paths[input.route.action]
}

arguments_accepted if {
	path := input.request.body.json.path
	some folder in settings.mcp_paths[input.route.action]
	endswith(folder, "/")
	startswith(path, folder)
	not ".." in split(path, "/")
}
