#!/bin/sh
# Ask the controller for this agent's secret, as soon as it is up, and connect.
# JENKINS_URL, JENKINS_AGENT_NAME, JENKINS_AGENT_USER and JENKINS_AGENT_PASSWORD come from the environment;
# the password goes to curl by its standard input, so that no list of processes shows it.
set -eu
page="${JENKINS_URL%/}/computer/$JENKINS_AGENT_NAME/jenkins-agent.jnlp"
while :; do
  said=$(curl --silent --show-error --fail --config - "$page" <<END || true
user = "$JENKINS_AGENT_USER:$JENKINS_AGENT_PASSWORD"
END
)
  JENKINS_SECRET=$(printf '%s' "$said" | sed -n 's,.*<argument>\([0-9a-f]\{64\}\)</argument>.*,\1,p')
  [ -z "$JENKINS_SECRET" ] || break
  echo "waiting for $page" >&2
  sleep "${GITOPS_AGENT_PAUSE:-5}"
done
unset JENKINS_AGENT_PASSWORD
export JENKINS_SECRET JENKINS_WEB_SOCKET=true
exec jenkins-agent
