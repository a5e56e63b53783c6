# Plays the first clip of a GLB in Godot 3 and writes where its vertices are.
# godot3-server --path PROJECT -s godot_player.gd reads res://wanted.json and writes res://found.json.
extends SceneTree

func _init():
	var wanted = parse_json(_read("res://wanted.json"))
	var scene = load("res://" + wanted["file"]).instance()
	get_root().add_child(scene)
	var player = _of_class(scene, "AnimationPlayer")[0]
	var name = player.get_animation_list()[0]
	var clip = player.get_animation(name)
	player.play(name)
	var frames = []
	for time in wanted["times"]:
		player.seek(time, true)
		var points = []
		for item in _of_class(scene, "MeshInstance"):
			for surface in range(item.mesh.get_surface_count()):
				points += _positions(item, surface)
		frames.append(points)
	var found = File.new()
	found.open("res://found.json", File.WRITE)
	found.store_string(to_json({"clip": name, "length": clip.length, "loop": clip.loop, "frames": frames}))
	found.close()
	quit()

func _read(path):
	var file = File.new()
	file.open(path, File.READ)
	return file.get_as_text()

func _of_class(node, kind):
	var found = [node] if node.is_class(kind) else []
	for child in node.get_children():
		found += _of_class(child, kind)
	return found

func _positions(item, surface):
	var arrays = item.mesh.surface_get_arrays(surface)
	var points = Array(arrays[ArrayMesh.ARRAY_VERTEX])
	var rest = points.duplicate()
	var shapes = item.mesh.surface_get_blend_shape_arrays(surface)
	for shape in range(shapes.size()):
		var weight = item.get("blend_shapes/" + item.mesh.get_blend_shape_name(shape))
		var shaped = shapes[shape][ArrayMesh.ARRAY_VERTEX]
		var moved = item.mesh.blend_shape_mode == Mesh.BLEND_SHAPE_MODE_RELATIVE
		for n in range(points.size()):
			points[n] += weight * (shaped[n] if moved else shaped[n] - rest[n])
	if item.skin != null:
		points = _skinned(item, points, arrays)
	var numbers = []
	for point in points:
		var placed = item.global_transform.xform(point)
		numbers.append([placed.x, placed.y, placed.z])
	return numbers

func _skinned(item, points, arrays):
	var skeleton = item.get_node(item.skeleton)
	var poses = []
	for bind in range(item.skin.get_bind_count()):
		var bone = item.skin.get_bind_bone(bind)
		if bone < 0:
			bone = skeleton.find_bone(item.skin.get_bind_name(bind))
		poses.append(skeleton.get_bone_global_pose(bone) * item.skin.get_bind_pose(bind))
	var bones = arrays[ArrayMesh.ARRAY_BONES]
	var weights = arrays[ArrayMesh.ARRAY_WEIGHTS]
	var moved = []
	for n in range(points.size()):
		var point = Vector3()
		for k in range(4):
			point += weights[4 * n + k] * poses[int(bones[4 * n + k])].xform(points[n])
		moved.append(point)
	return moved
