import harness.World

scenario('a deploy records, archives and deploys') { World world ->
    def build = world.step("gitopsDeploy(service: 'cart', image: '${World.NEW}')")
    same(build.failure, null)
    same(World.returned(build).commit.size(), 40)
}
