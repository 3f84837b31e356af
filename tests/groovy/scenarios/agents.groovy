// Agents as people have them: another shell, no home or none to write to, a container's user without a name; and what Jenkins does
// with builds and jobs around the steps.
import harness.JenkinsServer
import harness.RunWrapper
import harness.World

String digest = 'sha256:' + 'a' * 64

boolean has(String tool) { "which ${tool}".execute().waitFor() == 0 }

/** Whether the machine that runs this has what a scenario needs; in CI it has to. */
boolean can(boolean found, String what) {
    if (!found && System.getenv('CI')) { throw new AssertionError("${what} is missing" as Object) }
    if (!found) { println "note: ${what} is missing, so that is not tried" }
    return found
}

/** The deploy job from its source to the push, then the rollback job, as both stand in the repository. */
void goesRound(World world, String digest, Map options) {
    world.fakePodman(digest)
    Map job = [scm: [url: world.source().path], firstRun: false, params: [SERVICE: 'cart', IMAGE: 'docker.io/acme/cart', VERSION: '1.5.0', REASON: 'ä $HOME "x"'],
               env: [GITOPS_DOCKERHUB_CREDENTIALS_ID: 'hub', GITOPS_GIT_CREDENTIALS_ID: 'git-bot', GITOPS_REPORT: '']]
    def build = world.jenkinsfile(job + options, 'Jenkinsfile')
    same([build.failure, World.title(build)], [null, 'cart 1.4.2 → 1.5.0'])
    same(world.jenkinsfile(job + options, 'Jenkinsfile').shells.first(), 'gitops-rollback deploy')
    def back = world.jenkinsfile(options + [job: 'ops/rollback', firstRun: false, params: [SERVICE: 'cart', REASON: 'ä $HOME "x"'], env: [GITOPS_REPORT: '']], 'Jenkinsfile.rollback')
    same([back.failure, World.title(back)], [null, 'cart 1.5.0 → 1.4.2, held'])
    has(World.links(back).report, 'report.html')
    same(world.state().hold.reason, 'ä $HOME "x"')
}

scenario('both jobs run where sh is dash, and the home cannot be written to') { World world ->
    if (!can(has('dash'), 'dash (Debian: apt-get install dash)')) { return }
    goesRound(world, digest, [shell: ['dash'], agent: [GITOPS_HELPER_HOME: null, HOME: '/proc/none']])
}

scenario('both jobs run with the sh and the tools of busybox alone, as Alpine has them, and without any HOME') { World world ->
    if (!can(has('busybox'), 'busybox (Debian: apt-get install busybox)')) { return }
    File applets = new File(world.folder, 'applets')
    applets.mkdirs()
    same(['busybox', '--install', '-s', applets.path].execute().waitFor(), 0)
    goesRound(world, digest, [shell: ['busybox', 'sh'], agent: [GITOPS_HELPER_HOME: null, HOME: null, PATH: "${world.tools}:${applets}".toString()]])
}

scenario('an agent with a space and @2 in its workspace, no HOME and a read-only one') { World world ->
    goesRound(world, digest, [workspace: 'my shop@2', agent: [HOME: null, GITOPS_HELPER_HOME: null]])
}

scenario('a container’s user who has no name and no home of his own') { World world ->
    boolean possible = 'id -u'.execute().text.trim() == '0' && has('setpriv') && new File('/usr/bin/python3').exists() &&
        ['/usr/bin/python3', '-c', 'import sys; sys.exit(sys.version_info < (3, 11))'].execute().waitFor() == 0
    if (!possible) {
        println 'note: only root can play another user, with a python3 3.11 that all may run'
        return
    }
    world.tool('python3', '#!/bin/sh\nexec /usr/bin/python3 "$@"\n')
    ['chown', '-R', '12345:12345', world.folder.path].execute().waitFor()
    Map options = [shell: ['setpriv', '--reuid=12345', '--regid=12345', '--clear-groups', 'sh'], agent: [GITOPS_HELPER_HOME: null, HOME: '/', GIT_CONFIG_NOSYSTEM: '1']]
    File jobs = new File(world.folder, 'jobs')
    new File(jobs, 'shop_cart/workspace').mkdirs()
    new File(jobs, 'shop_cart/workspace@tmp').mkdirs()
    ['chmod', 'a+rx', world.folder.parentFile.path].execute().waitFor()
    Closure opened = { ['chmod', '-R', 'a+rwX', jobs.path].execute().waitFor() }
    def build = world.step(options + [beforeStep: opened],
        "gitopsDeploy(service: 'cart', image: '${World.NEW}')")
    same([build.failure, World.title(build)], [null, 'cart 1.4.2 → 1.5.0'])
    ['chown', '-R', '0:0', world.remote.path].execute().waitFor()
    has(world.git(world.remote, 'log', '-1', '--format=%an <%ae>', 'main'), 'gitops-rollback <gitops-rollback@localhost>')
}

scenario('with a build discarder the records that a rollback needs stay, and it finds them') { World world ->
    def jenkins = new JenkinsServer(world)
    Map env = [JENKINS_URL: jenkins.url, GITOPS_JENKINS_CREDENTIALS_ID: 'jenkins-api']
    String last = 'docker.io/acme/cart:1.7.0@sha256:' + '7' * 64
    [World.NEW, World.NEXT, last].each { image ->
        same(world.step([env: env], "gitopsDeploy(service: 'cart', image: '${image}', keep: true)").failure, null)
        // a discarder that keeps no build but those that are marked
        world.builds.findAll { !it.run.keepLog }.each { it.artifacts.deleteDir() }
    }
    same(world.builds.collect { it.archived().size() > 0 }, [false, false, true])
    def build = world.step([env: env, job: 'ops/rollback'], "gitopsRollback(service: 'cart', reason: 'broken', strategy: 'artifact')")
    same([build.failure, World.returned(build).to], [null, World.NEXT])
    def further = world.step([env: env, job: 'ops/rollback'], "gitopsRollback(service: 'cart', reason: 'broken', strategy: 'artifact', again: true)")
    same(further.run.result, 'FAILURE')
    has(World.error(further), 'image to go back to')
}

scenario('a build that is replayed, rebuilt or restarted is of whoever did that') { World world ->
    Map person = [_class: 'hudson.model.Cause$UserIdCause', shortDescription: 'Started by user Mo', userId: 'mo', userName: 'Mo']
    Map replay = [_class: 'org.jenkinsci.plugins.workflow.cps.replay.ReplayCause', shortDescription: 'Replayed #4']
    Map rebuild = [_class: 'com.sonyericsson.rebuild.RebuildCause', shortDescription: 'Rebuilds build #4']
    Map restart = [_class: 'org.jenkinsci.plugins.pipeline.modeldefinition.causes.RestartDeclarativePipelineCause', shortDescription: 'Restarted from build #4, stage Now']
    [[replay, person], [rebuild, person], [restart, person]].eachWithIndex { causes, number ->
        String image = "docker.io/acme/cart:2.${number}.0@sha256:${"${number}" * 64}"
        same(world.step([causes: causes], "gitopsDeploy(service: 'cart', image: '${image}')").failure, null)
        has(world.message(), 'Gitops-By: mo')
    }
    String image = 'docker.io/acme/cart:3.0.0@sha256:' + 'f' * 64
    world.step([causes: [replay], upstreamBuilds: [new RunWrapper(causes: [person])]], "gitopsDeploy(service: 'cart', image: '${image}')")
    has(world.message(), 'Gitops-By: mo')
}

scenario('three rollbacks at once in the parallel stages of somebody’s declarative pipeline, without a checkout') { World world ->
    world.commit('A third', ['apps/stock/deployment.yaml': World.manifest('stock', 'acme/stock:3.0.0@sha256:' + '8' * 64)])
    Map images = [cart: World.NEW, payment: 'docker.io/acme/payment:2.1.0@sha256:' + '5' * 64, stock: 'docker.io/acme/stock:3.1.0@sha256:' + '9' * 64]
    images.each { service, image -> same(world.step("gitopsDeploy(service: '${service}', image: '${image}')").failure, null) }
    String stages = images.keySet().collect { service -> """
        stage('${service}') { agent { label 'linux' }
            steps { gitopsRollback(service: '${service}', reason: '${service} is broken') } }""" }.join('')
    Map options = [job: 'ops/all', library: false, env: [GITOPS_REPORT: ''], name: 'Jenkinsfile.three']
    String text = "library('gitops-rollback')\npipeline { agent none\n options { skipDefaultCheckout() }\n stages { stage('All') { parallel {${stages}\n} } } }"
    def build = world.build(options, text)
    same([build.failure, build.run.result], [null, 'SUCCESS'])
    same(World.title(build).tokenize(';')*.trim().sort(), ['cart 1.5.0 → 1.4.2, held', 'payment 2.1.0 → 2.0.0, held', 'stock 3.1.0 → 3.0.0, held'])
    same(build.archived().findAll { it.endsWith('record.json') }.collect { it.tokenize('/')[2] }.sort(), ['cart', 'payment', 'stock'])
    same(build.run.description.readLines().count { it.startsWith('report: ') }, 3)
    images.keySet().each { service -> same(world.state(service).hold.reason, "${service} is broken".toString()) }
    // a failing one does not take the others with it, nor their titles
    same(world.step("gitopsRelease(service: 'stock', reason: 'x')").failure, null)
    same(world.step("gitopsDeploy(service: 'stock', image: 'docker.io/acme/stock:3.2.0@sha256:${'6' * 64}')").failure, null)
    def again = world.build(options, text)
    same(again.run.result, 'FAILURE')
    same(World.title(again).tokenize(';')*.trim().count { it.startsWith('refused: ') }, 2)
    has(World.title(again), 'stock 3.2.0 → 3.0.0, held')
}
