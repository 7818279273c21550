# The functions of nixpkgs' `lib` that our modules may use, types included; whoever wants another adds it here first.
let
  small = import ./evaluator.nix;
  inherit (small)
    discharge
    fail
    mergeAs
    strength
    strongest
    ;
  inherit (builtins)
    all
    attrNames
    attrValues
    concatLists
    concatMap
    concatStringsSep
    elem
    filter
    foldl'
    head
    isAttrs
    isBool
    isFunction
    isInt
    isList
    isPath
    isString
    length
    listToAttrs
    map
    mapAttrs
    match
    ;

  nameValuePair = name: value: { inherit name value; };
  mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
  filterAttrs =
    keep: set:
    listToAttrs (
      map (name: nameValuePair name set.${name}) (filter (name: keep name set.${name}) (attrNames set))
    );
  genAttrs = names: f: listToAttrs (map (name: nameValuePair name (f name)) names);
  optionalString = condition: text: if condition then text else "";
  isDerivation = value: isAttrs value && (value.type or null) == "derivation";
  isStorePath =
    value: (isString value || isPath value) && match "/nix/store/.+" (toString value) != null;
  getExe' = package: name: "${package}/bin/${name}";
  escapeShellArg =
    value:
    let
      text = toString value;
    in
    if match "[[:alnum:],._+:@%/-]+" text != null then
      text
    else
      "'${builtins.replaceStrings [ "'" ] [ "'\\''" ] text}'";

  # Values that have to agree.
  same =
    loc: values:
    if all (value: value == head values) values then
      head values
    else
      fail loc "defined differently in several places: ${concatStringsSep " and " (map builtins.toJSON values)}";
  scalar = what: check: {
    inherit what check;
    merge = same;
  };
  isText = value: isString value || (isAttrs value && value ? outPath && !isDerivation value);

  # Several definitions of one element below an option.
  element =
    loc: type: values:
    mergeAs loc type (strongest (concatMap (discharge strength.plain) values));
  isOn = value: discharge strength.plain value != [ ];

  types = {
    bool = scalar "a boolean" isBool;
    str = scalar "a string" isText;
    nonEmptyStr = scalar "a string that is not empty" (
      value: isText value && match "[ \t\n]*" value == null
    );
    strMatching =
      pattern: scalar "a string like ${pattern}" (value: isText value && match pattern value != null);
    int = scalar "a whole number" isInt;
    ints = {
      positive = scalar "a whole number above 0" (value: isInt value && value > 0);
      unsigned = scalar "a whole number from 0" (value: isInt value && value >= 0);
      between =
        low: high:
        scalar "a whole number from ${toString low} to ${toString high}" (
          value: isInt value && value >= low && value <= high
        );
    };
    port = types.ints.between 0 65535;
    path = scalar "an absolute path" (
      value: isPath value || isDerivation value || (isString value && match "/.*" value != null)
    );
    package = scalar "a package" (value: isDerivation value || isStorePath value);
    enum =
      values:
      scalar "one of ${concatStringsSep ", " (map builtins.toJSON values)}" (value: elem value values);
    lines = {
      what = "lines of text";
      check = isString;
      merge = _loc: concatStringsSep "\n";
    };
    raw = {
      what = "anything, once";
      check = _value: true;
      merge =
        loc: values: if length values == 1 then head values else fail loc "defined in several places";
    };
    anything = {
      what = "anything";
      check = _value: true;
      merge =
        loc: values:
        if all (value: isAttrs value && !isDerivation value) values then
          (types.attrsOf types.anything).merge loc values
        else if all isList values then
          concatLists values
        else if all isFunction values && length values == 1 then
          head values
        else
          same loc values;
    };
    nullOr = inner: {
      what = "null or ${inner.what}";
      check = value: value == null || inner.check value;
      merge =
        loc: values:
        if all (value: value == null) values then
          null
        else if elem null values then
          fail loc "defined as null and as something else"
        else
          inner.merge loc values;
      empty = _loc: null;
      inherit inner;
    };
    either = one: other: {
      what = "${one.what} or ${other.what}";
      check = value: one.check value || other.check value;
      merge = loc: values: (if all one.check values then one else other).merge loc values;
    };
    oneOf = list: foldl' types.either (head list) (builtins.tail list);
    listOf = inner: {
      what = "a list of ${inner.what}";
      check = isList;
      merge =
        loc: lists:
        let
          on = filter isOn (concatLists lists);
          at = index: element (loc ++ [ "[${toString index}]" ]) inner [ (builtins.elemAt on index) ];
        in
        builtins.genList at (length on);
      empty = _loc: [ ];
      inherit inner;
    };
    attrsOf = inner: {
      what = "a set of ${inner.what}";
      check = value: isAttrs value && !isDerivation value;
      merge =
        loc: sets:
        let
          names = small.unique (concatMap attrNames sets);
          of = name: map (set: set.${name}) (filter (set: set ? ${name}) sets);
          on = filter (name: builtins.any isOn (of name)) names;
        in
        genAttrs on (name: element (loc ++ [ name ]) inner (of name));
      empty = _loc: { };
      inherit inner;
    };
    submodule = modules: {
      what = "a set of options";
      check = value: isAttrs value || isFunction value || isPath value;
      merge =
        loc: values:
        (small.evaluate {
          modules =
            (if isList modules then modules else [ modules ])
            ++ map (value: if isAttrs value then { config = value; } else value) values;
          args = {
            inherit lib;
            name = builtins.elemAt loc (length loc - 1);
          };
          at = loc;
        }).config;
      empty = loc: (types.submodule modules).merge loc [ ];
      modules = if isList modules then modules else [ modules ];
    };
  };

  lib = {
    inherit
      attrNames
      attrValues
      concatMap
      concatStringsSep
      elem
      escapeShellArg
      filter
      filterAttrs
      genAttrs
      getExe'
      listToAttrs
      mapAttrs
      mapAttrsToList
      nameValuePair
      optionalString
      types
      ;
    inherit (small) unique;
    mkOption = option: option // { _type = "option"; };
    mkEnableOption =
      what:
      lib.mkOption {
        type = types.bool;
        default = false;
        description = "Whether to enable ${what}.";
      };
    mkIf = condition: content: {
      _type = "if";
      inherit condition content;
    };
    mkMerge = contents: {
      _type = "merge";
      inherit contents;
    };
    mkOverride = priority: content: {
      _type = "override";
      inherit priority content;
    };
    mkForce = lib.mkOverride 50;
    mkDefault = lib.mkOverride 1000;
    optional = condition: value: if condition then [ value ] else [ ];
    optionals = condition: values: if condition then values else [ ];
    optionalAttrs = condition: set: if condition then set else { };
    mapAttrs' = f: set: listToAttrs (mapAttrsToList f set);
    concatMapStringsSep =
      separator: f: list:
      concatStringsSep separator (map f list);
    getExe = package: getExe' package (package.meta.mainProgram or package.pname);
    hasPrefix = prefix: text: builtins.substring 0 (builtins.stringLength prefix) text == prefix;
    toInt = builtins.fromJSON;
    literalExpression = text: {
      _type = "literalExpression";
      inherit text;
    };
  };
in
lib
