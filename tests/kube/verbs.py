"""What vand's pods asked of the API server, by its audit log, beside what the Role of k8s/base gives them.

verbs.py ROLE LOG… tells what was refused, and what is granted without need; verbs.py --since SECOND LOG… tells what
was asked since then, watches and the Lease aside. Each ends with 1 where there is something to tell.
"""

import datetime
import json
import sys

ACCOUNT = "system:serviceaccount:default:vand"

# Granted, though no run here uses it, and why.
UNUSED = {
    ("discovery.k8s.io", "endpointslices", "delete"): "an annotated Service whose workload comes back",
    ("networking.k8s.io", "ingresses", "delete"): "an access by Ingress that is taken back",
    ("gateway.networking.k8s.io", "tlsroutes", "create"): "no Gateway API here",
    ("gateway.networking.k8s.io", "tlsroutes", "patch"): "no Gateway API here",
    ("gateway.networking.k8s.io", "tlsroutes", "delete"): "no Gateway API here",
    ("route.openshift.io", "routes", "create"): "no OpenShift here",
    ("route.openshift.io", "routes", "patch"): "no OpenShift here",
    ("route.openshift.io", "routes", "delete"): "no OpenShift here",
    ("route.openshift.io", "routes/custom-host", "create"): "no OpenShift here",
    ("route.openshift.io", "routes/custom-host", "patch"): "no OpenShift here",
}


def requests(logs):
    for log in logs:
        with open(log, encoding="utf-8") as lines:
            for line in lines:
                event = json.loads(line)
                # What may be seen of other namespaces is up to their owners.
                ours = event.get("objectRef", {}).get("namespace") == "default"
                if event["user"]["username"] == ACCOUNT and ours:
                    yield event


def what(event):
    ref = event["objectRef"]
    name = ref["resource"] + ("/" + ref["subresource"] if ref.get("subresource") else "")
    return ref.get("apiGroup", ""), name, event["verb"]


def granted(role):
    # The Role is written with flow sequences alone, one rule after the other.
    rules, rule = [], {}
    for line in open(role, encoding="utf-8"):
        text = line.strip().removeprefix("- ")
        for key in ("apiGroups", "resources", "verbs"):
            if text.startswith(key + ": ["):
                items = text[len(key) + 3 : text.rindex("]")].split(",")
                rule[key] = [item.strip().strip('"') for item in items]
        if "verbs" in rule:
            rules.append(rule)
            rule = {}
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def main():
    troubles = []
    if sys.argv[1] == "--since":
        since = datetime.datetime.fromtimestamp(float(sys.argv[2]), datetime.timezone.utc)
        for event in requests(sys.argv[3:]):
            at = datetime.datetime.fromisoformat(event["requestReceivedTimestamp"].replace("Z", "+00:00"))
            if at >= since and event["verb"] != "watch" and what(event)[1] != "leases":
                troubles.append("asked while idle: " + " ".join(what(event)) + " " + event["requestURI"])
    else:
        role, used = granted(sys.argv[1]), set()
        for event in requests(sys.argv[2:]):
            used.add(what(event))
            if event.get("responseStatus", {}).get("code") == 403:
                troubles.append("refused: " + " ".join(what(event)) + " " + event["requestURI"])
        if len(used) < 20:
            troubles.append(f"only {len(used)} kinds of requests were seen: run all ways before this one")
        for group, resource, verb in sorted(role - used - set(UNUSED)):
            other = {"create": "patch", "patch": "create"}.get(verb)
            if not (other and (group, resource, other) in used):
                troubles.append(f"granted and not used: {group} {resource} {verb}")
        for group, resource, verb in sorted(used - role):
            troubles.append(f"used and not granted: {group} {resource} {verb}")
    for trouble in sorted(set(troubles)):
        print(trouble)
    return 1 if troubles else 0


if __name__ == "__main__":
    sys.exit(main())
