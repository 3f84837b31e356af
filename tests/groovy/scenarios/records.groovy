// The second way: the record that an earlier build archived, read from Jenkins.
import harness.JenkinsServer
import harness.World

scenario('a rollback from the archived record costs one request to Jenkins') { World world ->
    def jenkins = new JenkinsServer(world)
    Map env = [JENKINS_URL: jenkins.url, GITOPS_JENKINS_CREDENTIALS_ID: 'jenkins-api']
    same(world.step([env: env], "gitopsDeploy(service: 'cart', image: '${World.NEW}')").failure, null)
    same(jenkins.requests, [])
    def build = world.step([env: env, job: 'ops/rollback'], "gitopsRollback(service: 'cart', reason: 'broken', strategy: 'artifact')")
    same(build.failure, null)
    same(World.returned(build).to, World.OLD)
    same(jenkins.requests.unique(), ['GET /job/shop/job/cart/1/artifact/gitops-rollback/default/cart/record.json'])
}

scenario('the records of a branch with a slash are found, in a folder of a multibranch project') { World world ->
    def jenkins = new JenkinsServer(world)
    Map env = [JENKINS_URL: jenkins.url, GITOPS_JENKINS_CREDENTIALS_ID: 'jenkins-api']
    same(world.step([env: env, job: 'shop/mb/feature%2Fx'], "gitopsDeploy(service: 'cart', image: '${World.NEW}')").failure, null)
    def build = world.step([env: env, job: 'ops/rollback'], "gitopsRollback(service: 'cart', reason: 'broken', strategy: 'artifact')")
    same(build.failure, null)
    same(jenkins.requests.unique(), ['GET /job/shop/job/mb/job/feature%252Fx/1/artifact/gitops-rollback/default/cart/record.json'])
}

scenario('credentials that may not read the deploy job: one line that says so') { World world ->
    def jenkins = new JenkinsServer(world)
    Map env = [JENKINS_URL: jenkins.url]
    world.step([env: env], "gitopsDeploy(service: 'cart', image: '${World.NEW}')")
    String tip = world.tip()
    def build = world.step([env: env, job: 'ops/rollback'], "gitopsRollback(service: 'cart', reason: 'broken', strategy: 'artifact')")
    same(build.run.result, 'FAILURE')
    has(World.error(build), 'gitopsRollback: ')
    has(World.error(build), 'Jenkins')
    same(world.tip(), tip)
}

scenario('without a state file the records of the deploy job say what ran before') { World world ->
    def jenkins = new JenkinsServer(world)
    Map env = [JENKINS_URL: jenkins.url, GITOPS_JENKINS_CREDENTIALS_ID: 'jenkins-api']
    // a pipeline that records with this library and writes the manifest in its own way
    same(world.step([env: env], "gitopsRecordImage(service: 'cart', image: '${World.NEW}')").failure, null)
    same(world.builds[0].run.keepLog, true)
    world.commit('By other means', ['apps/cart/deployment.yaml': World.manifest('cart', 'acme/cart:1.5.0@sha256:' + '2' * 64)])
    def build = world.step([env: env, job: 'ops/rollback'], "gitopsRollback(service: 'cart', reason: 'broken', strategy: 'artifact', store: 'jenkins:shop/cart')")
    same(build.failure, null)
    same(World.returned(build).to, World.OLD)
    same(jenkins.requests.unique(false).size(), 2)
}

scenario('with keep, Jenkins keeps the build whose record a rollback needs, and no other') { World world ->
    def jenkins = new JenkinsServer(world)
    Map env = [JENKINS_URL: jenkins.url, GITOPS_JENKINS_CREDENTIALS_ID: 'jenkins-api']
    for (image in [World.NEW, World.NEXT]) {
        same(world.step([env: env], "gitopsDeploy(service: 'cart', image: '${image}', keep: true)").failure, null)
    }
    same(world.builds*.run*.keepLog, [false, true])
    same(world.step([env: env, job: 'ops/rollback'], "gitopsRollback(service: 'cart', reason: 'broken', keep: true)").failure, null)
    same(world.builds*.run*.keepLog, [true, false, false])
}

scenario('without the right to let builds go, the deploy is done, and the log says once which build stays') { World world ->
    def jenkins = new JenkinsServer(world)
    jenkins.mayNot = 'Run/Delete'
    Map env = [JENKINS_URL: jenkins.url, GITOPS_JENKINS_CREDENTIALS_ID: 'jenkins-api']
    same(world.step([env: env], "gitopsDeploy(service: 'cart', image: '${World.NEW}', keep: true)").failure, null)
    def build = world.step([env: env], "gitopsDeploy(service: 'cart', image: '${World.NEXT}', keep: true)")
    same([build.failure, World.title(build)], [null, 'cart 1.5.0 → 1.6.0'])
    same(build.log.count { it.contains('stays kept') }, 1)
    has(build.text, 'Run/Delete')
    jenkins.mayNot = 'Run/Update'
    world.builds.each { it.run.keepLog = false }
    def back = world.step([env: env, job: 'ops/rollback'], "gitopsRollback(service: 'cart', reason: 'broken', keep: true)")
    same([back.failure, back.log.count { it.contains('is not kept') }], [null, 1])
    has(back.text, 'Run/Update')
}

scenario('without keep, every build with a record that a rollback may need is kept, and none is let go') { World world ->
    for (image in [World.NEW, World.NEXT]) {
        same(world.step("gitopsDeploy(service: 'cart', image: '${image}')").failure, null)
    }
    same(world.builds*.run*.keepLog, [true, true])
}
