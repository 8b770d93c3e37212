"""What vand's pods asked of the API server, by its audit log, beside what the Role of k8s/base gives them.

verbs.py ROLE LOG… tells what was refused, and what is granted without need; verbs.py --since SECOND LOG… tells what
was asked since then, watches and the Lease aside. Each ends with 1 where there is something to tell.
"""

import datetime
import json
import sys

ACCOUNT = "system:serviceaccount:default:vand"

# One for each kind, the Secrets of links, the state and the Lease.
WATCHES = 17

# Granted, though no run here uses it, and why.
UNUSED = {
    ("discovery.k8s.io", "endpointslices", "delete"): "an annotated Service whose workload comes back",
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
                # What may be seen of other namespaces is up to their owners; what is of none is the cluster's.
                ours = event.get("objectRef", {}).get("namespace", "default") == "default"
                if event["user"]["username"] == ACCOUNT and ours:
                    yield event


def what(event):
    ref = event.get("objectRef")
    if not ref:
        return "", event["requestURI"].split("?")[0], event["verb"]
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
        watches = 0
        since = datetime.datetime.fromtimestamp(float(sys.argv[2]), datetime.timezone.utc)
        for event in requests(sys.argv[3:]):
            at = datetime.datetime.fromisoformat(event["requestReceivedTimestamp"].replace("Z", "+00:00"))
            if at < since or what(event)[1] == "leases":
                continue
            if event["verb"] == "watch":
                watches += 1
            else:
                troubles.append("asked while idle: " + " ".join(what(event)) + " " + event["requestURI"])
        # A watch ends after five minutes or more, and is noted when it begins and when it ends.
        if watches > 2 * WATCHES:
            troubles.append(f"{watches} words of watches while idle, of {WATCHES} watches")
    else:
        role, used = granted(sys.argv[1]), set()
        for event in requests(sys.argv[2:]):
            used.add(what(event))
            if event.get("responseStatus", {}).get("code") == 403:
                troubles.append("refused: " + " ".join(what(event)) + " " + event["requestURI"])
        if len(used) < 20:
            troubles.append(f"only {len(used)} kinds of requests were seen: run all ways before this one")
        for group, resource, verb in sorted(role - used - set(UNUSED)):
            # To apply what is not there takes the right to create it, though the log says patch.
            if not (verb == "create" and (group, resource, "patch") in used):
                troubles.append(f"granted and not used: {group} {resource} {verb}")
        for group, resource, verb in sorted(used & set(UNUSED)):
            troubles.append(f"used after all, take it out of UNUSED: {group} {resource} {verb}")
        for group, resource, verb in sorted(used - role):
            troubles.append(f"used and not granted: {group} {resource} {verb}")
    for trouble in sorted(set(troubles)):
        print(trouble)
    return 1 if troubles else 0


if __name__ == "__main__":
    sys.exit(main())
