# Role-based access as it is usually written for the plugin: users with roles, roles with permissions, per tenant.
package bench.rbac

import data.roles
import data.tenants
import data.users

default allow := false

http := input.attributes.request.http

user := users[http.headers["x-user"]]

allow if {
	user.active
	user.tenant == tenants[http.host]
	["v1", kind, _] = input.parsed_path
	some role in user.roles
	some permission in roles[role]
	permission.kind == kind
	http.method in permission.methods
}
