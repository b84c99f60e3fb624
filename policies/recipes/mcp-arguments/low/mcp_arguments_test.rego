package lemma.low_mcp_arguments_test

import data.lemma.fixtures_test as fixtures
import data.lemma.low
import data.low.settings

decision(request) := result if {
	result := low.decision with input as request with data.lemma.low.settings as settings
}

after(change) := decision(object.union(fixtures.proven("low"), change))

reading(json) := object.union(fixtures.proven("low"), {
	"request": {"method": "POST", "body": {"state": "complete", "json": json}},
	"route": {"action": "mcp.files.read_file", "body": "json"},
})

test_allows_a_file_below_the_folder if decision(reading({"path": "/srv/notes/2026/june.md"})) == fixtures.allowed

test_denies_files_elsewhere if {
	every path in ["/etc/passwd", "/srv/notes", "/srv/notes-of-others/a", "/srv/notes/../../etc/passwd", "notes/a", 7, null] {
		decision(reading({"path": path})) == fixtures.denied(["x_mcp_arguments"])
	}
}

test_denies_without_a_path if decision(reading({})) == fixtures.denied(["x_mcp_arguments"])

test_allows_tools_that_are_not_named if {
	decision(object.union(reading({}), {"route": {"action": "mcp.files.list"}})) == fixtures.allowed
}

test_denies_without_its_data if {
	low.decision.reasons == ["x_mcp_arguments"] with input as reading({"path": "/srv/notes/a"})
		with data.lemma.low.settings as object.remove(settings, ["mcp_paths"])
}
