// A protected branch: the steps open a pull request, and the build is unstable until it is merged.
import harness.World

/** A Git host with the world's repository; `merge` presses its button. */
Map forge(World world, String token) {
    File owner = new File(world.folder, 'acme')
    owner.mkdirs()
    ['ln', '-sfn', world.remote.path, new File(owner, 'manifests.git').path].execute().waitFor()
    File program = new File(world.controller.root, 'tests/python/servers/forge.py')
    world.git(world.remote, 'config', 'http.receivepack', 'true')
    Process server = ['python3', program.path, world.folder.path, 'acme/manifests', token].execute()
    world.onClose { server.destroy() }
    BufferedReader said = server.inputStream.newReader()
    Writer told = server.outputStream.newWriter()
    return [remote: said.readLine(), merge: { int number -> told.write("merge ${number}\n"); told.flush(); said.readLine() }]
}

scenario('a deploy by pull request: unstable until it is merged, kept, and then done') { World world ->
    Map host = forge(world, World.SECRETS['git-bot'].password)
    String tip = world.tip()
    String step = "gitopsDeploy(service: 'cart', image: '${World.NEW}', repository: '${host.remote}', " +
        "pullRequest: true, forge: 'github', gitCredentialsId: 'git-bot')"
    def build = world.step(step)
    same(build.failure, null)
    same(build.run.result, 'UNSTABLE')
    same(world.tip(), tip)
    same(build.run.keepLog, true)
    same(World.title(build), 'cart 1.4.2 → 1.5.0, waiting for pull request #1')
    def made = World.returned(build)
    same(made.containsKey('commit'), false)
    same(made.pullRequest.number, 1)
    same(made.pullRequest.url.endsWith('/acme/manifests/pull/1'), true)
    has(build.archived(), 'gitops-rollback/default/cart/record.json')

    host.merge(1)
    same(world.image(), 'acme/cart:1.5.0@sha256:' + '2' * 64)
    def again = world.step(step)
    same(again.failure, null)
    same(again.run.result ?: 'SUCCESS', 'SUCCESS')
    same(World.title(again), 'nothing to do: cart 1.5.0')
}

scenario('a rollback and a release by pull request') { World world ->
    Map host = forge(world, World.SECRETS['git-bot'].password)
    String more = "repository: '${host.remote}', pullRequest: true, forge: 'github', gitCredentialsId: 'git-bot'"
    world.step("gitopsDeploy(service: 'cart', image: '${World.NEW}', ${more})")
    host.merge(1)
    def build = world.step([job: 'ops/rollback'], "gitopsRollback(service: 'cart', reason: 'broken', ${more})")
    same(build.run.result, 'UNSTABLE')
    same(World.title(build), 'cart 1.5.0 → 1.4.2, waiting for pull request #2')
    same(World.returned(build).pullRequest.number, 2)
    host.merge(2)
    same(world.state().hold.reason, 'broken')
    def release = world.step("gitopsRelease(service: 'cart', reason: 'fixed', ${more})")
    same(release.run.result, 'UNSTABLE')
    same(World.returned(release).pullRequest.number, 3)
}

scenario('a pull request that cannot be opened fails the build with one line') { World world ->
    Map host = forge(world, 'another token')
    def build = world.step("gitopsDeploy(service: 'cart', image: '${World.NEW}', repository: '${host.remote}', " +
        "pullRequest: true, forge: 'github', gitCredentialsId: 'git-bot')")
    same(build.run.result, 'FAILURE')
    has(World.error(build), 'Bad credentials')
    has(World.error(build), '/acme/manifests/pull/new/gitops-rollback/cart-')
}
