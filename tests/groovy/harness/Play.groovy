package harness

import groovy.json.JsonOutput
import groovy.json.JsonSlurperClassic

/**
 * Runs builds that somebody else describes, one after the other on one agent, and tells how each ended.
 *
 * Whoever describes them owns the manifests repository and what else the builds meet: a cluster, for one.
 */
class Play {
    final File root
    final Controller controller

    Play(File root, boolean sandboxed) {
        this.root = root
        this.controller = new Controller(root, sandboxed, Library.resources(root))
    }

    /** `{folder, env, agent, path, credentials, secrets, builds: [{job, step}]}` to a list of builds, written as JSON. */
    void run(File described, File result) {
        Map play = new JsonSlurperClassic().parse(described) as Map
        World world = new World(controller, new File(play.folder as String))
        world.extraSecrets = play.credentials
        world.confidential = play.secrets
        world.prepareAgent()
        try {
            Map env = [JENKINS_URL: new JenkinsServer(world).url, GITOPS_JENKINS_CREDENTIALS_ID: 'jenkins-api'] + play.env
            Map agent = [PATH: (play.path + [world.tools.path, System.getenv('PATH')]).join(':')] + play.agent
            List<Map> ended = play.builds.collect { one -> told(world.step([job: one.job, env: env, agent: agent], one.step as String)) }
            result.setText(JsonOutput.toJson([builds: ended, problems: world.problems()]), 'UTF-8')
        } finally {
            world.close()
        }
    }

    private static Map told(Build build) {
        return [
            result: build.run.result, description: build.run.description, returned: World.returned(build), shells: build.shells,
            errors: build.log.findAll { it.startsWith('ERROR: ') }*.minus('ERROR: '), log: build.text, archive: build.artifacts.path,
        ]
    }
}
